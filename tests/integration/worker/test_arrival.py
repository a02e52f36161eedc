"""A process that starts while its database is away lives, says so, and begins when it is there."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from sqlalchemy import make_url
from structlog.testing import capture_logs
from support.servers import wait_for

from backend.api_process import ServingProcess
from backend.database import arrival, migrate
from backend.database.arrival import Arrival
from backend.database.engine import Database
from backend.settings import Settings

PATIENCE_SECONDS = 60


class Gate:
    """A port at which nothing answers, until `open` joins it with the server's socket."""

    def __init__(self, url: str) -> None:
        self._server = Path(str(make_url(url).query["host"])) / ".s.PGSQL.5432"
        self._listener = socket.socket()
        self._listener.bind(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        parts = {"host": "127.0.0.1", "port": self.port, "query": {}}
        self.url = make_url(url).set(**parts).render_as_string(hide_password=False)

    def open(self) -> None:
        self._listener.listen()
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.socket(socket.AF_UNIX)
            server.connect(str(self._server))
            for one, other in ((client, server), (server, client)):
                thread = threading.Thread(target=_pass_on, args=(one, other), daemon=True)
                thread.start()


def _pass_on(one: socket.socket, other: socket.socket) -> None:
    with suppress(OSError), one:
        while data := one.recv(65536):
            other.sendall(data)
    with suppress(OSError), other:
        other.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def gate(pg_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Gate]:
    """An empty database that is away."""
    monkeypatch.setattr(arrival, "FIRST_DELAY", 0.05)
    monkeypatch.setattr(arrival, "LONGEST_DELAY", 0.1)
    found = Gate(pg_url)
    yield found
    found.close()


def test_an_api_that_starts_before_its_database_lives_says_so_and_begins(
    gate: Gate, pg_url: str, settings: Settings
) -> None:
    given = settings.model_copy(update={"database_url": gate.url, "embedder": "mean-colour"})
    with capture_logs() as logged:
        process = ServingProcess(given, url="http://127.0.0.1:1")
        client = process.app.test_client()
        assert client.get("/livez").status_code == 200
        down = client.get("/readyz")
        assert down.status_code == 503
        assert "does not answer: " in down.json["checks"]["start"]
        refused = client.get("/v1/status")
        assert (refused.status_code, refused.json["code"]) == (503, "database-unavailable")
        wait_for(lambda: len(tries(logged)) > 2)
    assert all("Connection refused" in line["error"] for line in tries(logged))
    assert not [line for line in logged if "exception" in line or line.get("exc_info")]
    gate.open()
    wait_for(lambda: "migration" in client.get("/readyz").json["checks"]["start"])
    db = Database(pg_url)
    migrate.migrate(db)
    db.close()
    wait_for(lambda: client.get("/readyz").status_code == 200)
    assert client.get("/v1/status").status_code == 200
    process.hurry()
    process.stop()


def tries(logged: list[dict[str, str]]) -> list[dict[str, str]]:
    return [line for line in logged if line["event"] == "the database cannot be used"]


def test_a_process_that_is_told_to_stop_does_not_wait_for_its_database(
    gate: Gate, settings: Settings
) -> None:
    given = settings.model_copy(update={"database_url": gate.url, "embedder": "mean-colour"})
    process = ServingProcess(given, url="http://127.0.0.1:1")
    process.hurry()
    process.stop()
    assert not [one for one in threading.enumerate() if one.name in ("arrival", "worker")]


def test_a_worker_shows_life_while_it_waits(gate: Gate, pg_url: str) -> None:
    db, beats = Database(gate.url), []

    def beat() -> None:
        beats.append(1)
        if len(beats) == 3:
            gate.open()
            there = Database(pg_url)
            migrate.migrate(there)
            there.close()

    assert Arrival(db).wait(heartbeat=beat)
    assert len(beats) >= 3
    db.close()


@pytest.mark.parametrize("command", [["status"], ["migrate"], ["import", "."]])
def test_a_command_says_in_one_line_that_the_database_is_away(
    gate: Gate, tmp_path: Path, command: list[str]
) -> None:
    kept = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
    ours = {"DATABASE_URL": gate.url, "LOOKALIKE_DATA_DIR": str(tmp_path / "data")}
    ran = subprocess.run(
        [Path(sys.executable).with_name("lookalike"), *command],
        env=kept | ours,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    (line,) = ran.stderr.splitlines()
    assert ran.returncode == 1
    assert f"127.0.0.1:{gate.port}" in line
    assert "Connection refused" in line
