"""`lookalike health`: what the health checks of worker and scheduler look at."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from support.installation import COMMAND
from support.servers import RedisServer, redis_server, wait_for
from typer.testing import Result

from workers.health import SignOfLife, signs

SUPERVISE = """
import sys
from workers.supervisor import Supervisor
command = [sys.executable, "-c", sys.argv[1]]
Supervisor(command, hang_seconds=1, stop_seconds=1, first_delay=60).run()
"""

WORKER = """
import socket, sys, time
pipe = socket.socket(fileno=int(sys.argv[-1]))
for _ in range(3):
    pipe.send(b".")
    time.sleep(0.05)
time.sleep(30)  # it hangs
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the processes of this test show life."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return tmp_path / f"lookalike-health-{os.getuid()}"


def test_a_process_is_healthy_while_it_shows_life(
    folder: Path, run_command: Callable[..., Result]
) -> None:
    assert "no worker" in run_command("health", code=1).output
    sign = SignOfLife("worker", allowed_seconds=60)
    sign.touch()
    assert f"worker-{os.getpid()}: 0 s ago" in run_command("health").output
    (path,) = folder.iterdir()
    os.utime(path, (time.time() - 61,) * 2)
    run_command("health", code=1)
    sign.remove()
    run_command("health", code=1)


def test_the_sign_of_a_killed_process_is_no_sign(folder: Path) -> None:
    SignOfLife("worker", allowed_seconds=60).touch()
    (path,) = folder.iterdir()
    path.rename(path.with_name(f"worker-{2**22 + 1}"))  # above the largest process id
    assert signs() == []


def test_a_worker_shows_life_by_its_heartbeats_and_none_when_it_has_been_killed(
    folder: Path,
) -> None:
    with running([sys.executable, "-c", SUPERVISE, WORKER], folder):
        (sign,) = wait_for(lambda: signs(folder))
        assert sign.is_good
        assert (sign.process.partition("-")[0], sign.allowed) == ("worker", 1)
        wait_for(lambda: not signs(folder))


@pytest.mark.slow
def test_the_scheduler_shows_life_while_its_broker_answers(
    folder: Path, redis: RedisServer
) -> None:
    environment = {
        "DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none",
        "BROKER_URL": redis.url,
        "LOOKALIKE_IMAGE_STORE": "file:///images",
        "LOOKALIKE_POLL_SECONDS": "0.02",
    }
    with running([COMMAND, "beat"], folder, **environment):
        wait_for(lambda: signs(folder))
        time.sleep(1.5)  # more than between two touches
        (sign,) = signs(folder)
        assert sign.process.startswith("beat-")
        assert sign.is_good
        redis.kill(lose_data=True)
        (path,) = folder.iterdir()
        wait_for(lambda: signs(folder)[0].age > 2)
        last = path.stat().st_mtime
        time.sleep(1.5)
        assert path.stat().st_mtime == last


@contextmanager
def running(command: Sequence[str | Path], folder: Path, **environment: str) -> Iterator[None]:
    """Run a process that shows life below `folder`'s parent."""
    kept = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
    kept |= {"TMPDIR": str(folder.parent)}
    with subprocess.Popen(command, env=kept | environment, cwd=folder.parent) as process:
        try:
            yield
        finally:
            process.terminate()
            process.wait(30)


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    with redis_server(tmp_path / "redis") as server:
        yield server
