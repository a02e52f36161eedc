"""The engine, with two kinds of sessions: `read()` and `write(work)`.

On SQLite a write session starts with BEGIN IMMEDIATE. With the default, a deferred BEGIN,
concurrent writers fail with "database is locked" as soon as one of them upgrades its lock. On
PostgreSQL, a transaction that the server aborted to end a deadlock is run again here, and only
here.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session, sessionmaker

from backend.database import clock
from backend.database.clock import DatabaseClock

T = TypeVar("T")

SQLITE_TIMEOUT_SECONDS = 30
DEADLOCK_TRIES = 5
RETRYABLE = {"40001", "40P01"}  # serialization failure, deadlock detected


class Database:
    """The database of the product. Share one per process; keep sessions short."""

    def __init__(self, url: str, **engine_options: Any) -> None:
        self.engine = _make_engine(url, **engine_options)
        self._session = sessionmaker(expire_on_commit=False, info={clock.INFO: DatabaseClock()})

    @property
    def is_sqlite(self) -> bool:
        """Whether this is the embedded database."""
        return self.engine.dialect.name == "sqlite"

    @contextmanager
    def read(self) -> Iterator[Session]:
        """Open a session for reading; changes made in it are rolled back."""
        with self._session(bind=self.engine) as session:
            yield session

    def write(self, work: Callable[[Session], T]) -> T:
        """Run `work(session)` in one transaction; run it again if a deadlock has aborted it.

        `work` must be safe to run twice: what it does outside the session happens twice too.
        """
        writer = self.engine.execution_options(lookalike_write=True)
        for attempt in range(DEADLOCK_TRIES):
            try:
                with self._session(bind=writer) as session, session.begin():
                    return work(session)
            except OperationalError as error:
                if getattr(error.orig, "sqlstate", None) not in RETRYABLE:
                    raise
                if attempt == DEADLOCK_TRIES - 1:
                    raise
                time.sleep(0.05 * 2**attempt)
        raise AssertionError("unreachable")

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()


def _make_engine(url: str, **options: Any) -> Engine:
    if not url.startswith("sqlite"):
        return create_engine(url, pool_pre_ping=True, **options)
    engine = create_engine(url, connect_args={"timeout": SQLITE_TIMEOUT_SECONDS}, **options)
    if engine.url.database and engine.url.database != ":memory:":
        Path(engine.url.database).parent.mkdir(parents=True, exist_ok=True)

    @event.listens_for(engine, "connect")
    def _prepare(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # _begin sends BEGIN itself
        _switch_to_wal(connection)
        for pragma in ("synchronous=NORMAL", "foreign_keys=ON"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        writes = connection.get_execution_options().get("lookalike_write")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def _switch_to_wal(connection: Any) -> None:
    """Switch to the write-ahead log.

    Unlike elsewhere, SQLite does not wait here while other processes open the same new file.
    """
    deadline = time.monotonic() + SQLITE_TIMEOUT_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.01)
        else:
            return
