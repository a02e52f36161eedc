"""The supervisor: one worker lives, whatever happens to it, and never without a supervisor."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeAlias

import psutil
import pytest
from support.servers import wait_for

SUPERVISE = """
import sys
from backend import logs
from workers.supervisor import Supervisor
logs.configure("info")
supervisor = Supervisor(
    [sys.executable, "worker.py"],
    hang_seconds=2, stop_seconds=2, start_seconds=5, first_delay=0.1,
)
sys.exit(supervisor.run())
"""

WORKER = """
import os, signal, sys, time
from pathlib import Path
from workers.heartbeat import Heartbeat
heartbeat = Heartbeat(int(sys.argv[-1]), stop_seconds=1)
heartbeat.start()

def record():
    with Path("lives").open("a") as file:
        file.write(f"{os.getpid()}\\n")
"""

IDLE = "heartbeat.idle()\nrecord()\ntime.sleep(60)"
HANGING = "heartbeat.busy()\nrecord()\ntime.sleep(60)"
BUSY = "heartbeat.busy()\nrecord()\nfor _ in range(300):\n    heartbeat()\n    time.sleep(0.2)"
DYING = "heartbeat.idle()\nrecord()\nos._exit(3)"
SILENT = "record()\ntime.sleep(60)"
ORDERLY = "signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))\n" + IDLE
STUBBORN = "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + IDLE


class Case:
    """A supervisor process, and the lives of the workers it started."""

    def __init__(self, folder: Path, body: str) -> None:
        (folder / "worker.py").write_text(WORKER + body)
        (folder / "lives").touch()
        self._folder = folder
        self.process = subprocess.Popen([sys.executable, "-c", SUPERVISE], cwd=folder)

    def lives(self) -> list[int]:
        return [int(line) for line in (self._folder / "lives").read_text().split()]

    def wait_for_lives(self, count: int) -> list[int]:
        wait_for(lambda: len(self.lives()) >= count)
        return self.lives()

    def stop(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(10)


Start: TypeAlias = Callable[[str], Case]


@pytest.fixture
def supervise(tmp_path: Path) -> Iterator[Start]:
    cases: list[Case] = []

    def start(body: str) -> Case:
        cases.append(Case(tmp_path, body))
        return cases[0]

    yield start
    for case in cases:
        case.process.kill()
        case.process.wait()
        for pid in case.lives():
            if psutil.pid_exists(pid):
                os.kill(pid, signal.SIGKILL)


def is_gone(pid: int) -> bool:
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def test_a_worker_that_dies_is_started_again_and_again(supervise: Start) -> None:
    assert len(set(supervise(DYING).wait_for_lives(3))) >= 3


def test_a_worker_whose_task_makes_no_progress_is_killed_and_another_started(
    supervise: Start,
) -> None:
    first, *_ = supervise(HANGING).wait_for_lives(2)
    assert is_gone(first)


@pytest.mark.slow
def test_a_worker_that_sends_no_heartbeat_is_killed_after_the_time_for_starting(
    supervise: Start,
) -> None:
    case = supervise(SILENT)
    case.wait_for_lives(1)
    time.sleep(3)  # longer than the limit of one that has started
    assert len(case.lives()) == 1
    case.wait_for_lives(2)


@pytest.mark.parametrize("body", [IDLE, BUSY], ids=["waiting", "progressing"])
@pytest.mark.slow
def test_a_worker_that_waits_or_makes_progress_is_left_alone(supervise: Start, body: str) -> None:
    case = supervise(body)
    (pid,) = case.wait_for_lives(1)
    time.sleep(4)
    assert case.lives() == [pid]
    assert not is_gone(pid)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_is_passed_on_and_the_worker_ends_in_good_order(
    supervise: Start, number: int
) -> None:
    case = supervise(ORDERLY)
    (pid,) = case.wait_for_lives(1)
    assert case.stop(number) == 0
    assert is_gone(pid)
    assert case.lives() == [pid]


def test_a_worker_that_does_not_stop_in_time_is_killed(supervise: Start) -> None:
    case = supervise(STUBBORN)
    (pid,) = case.wait_for_lives(1)
    started = time.monotonic()
    assert case.stop() == 1
    assert time.monotonic() - started > 1.5
    assert is_gone(pid)


@pytest.mark.parametrize("body", [IDLE, HANGING, STUBBORN])
def test_a_worker_ends_when_its_supervisor_is_killed(supervise: Start, body: str) -> None:
    case = supervise(body)
    (pid,) = case.wait_for_lives(1)
    case.process.kill()
    wait_for(lambda: is_gone(pid), seconds=5)
