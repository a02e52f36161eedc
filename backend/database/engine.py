"""The engine, with two kinds of sessions, `read()` and `write(work)`, and `query()`.

On SQLite a write session starts with BEGIN IMMEDIATE. With the default, a deferred BEGIN,
concurrent writers fail with "database is locked" as soon as one of them upgrades its lock. On
PostgreSQL, a transaction that the server aborted to end a deadlock is run again here, and only
here.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, TypeVar

from sqlalchemy import Engine, create_engine, make_url
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session, sessionmaker

from backend.database import clock, sqlite_file
from backend.database.clock import DatabaseClock
from backend.database.reader import KeptConnections, Reader
from backend.database.since_commit import SinceCommit
from backend.errors import DatabaseUnavailable
from backend.outages import Outages

T = TypeVar("T")

DEADLOCK_TRIES = 5
RETRYABLE = {"40001", "40P01"}  # serialization failure, deadlock detected

SERVER: Final = "the database"
TOLERATED: Final = 2
"""Times in a row that a server may leave something unanswered before nothing more is asked."""

FIRST_SECONDS: Final = 0.5
LONGEST_SECONDS: Final = 1.0
"""Between two tries of a server that does not answer; one caller at a time tries."""


class Database:
    """The database of the product. Share one per process; keep sessions short."""

    def __init__(self, url: str, **engine_options: Any) -> None:
        parsed = make_url(url)
        is_sqlite = parsed.get_backend_name() == "sqlite"
        self._file = sqlite_file.SqliteFile(parsed) if is_sqlite else None
        if self._file is not None:
            self.engine = sqlite_file.make_engine(self._file, parsed, **engine_options)
        else:
            self.engine = _make_server_engine(url, **engine_options)
        is_file = self._file is not None and self._file.path is not None
        self.kept = KeptConnections(self.engine) if is_file else None
        self._watching: Any = None  # a connection that never writes: see `version`
        self._watch = threading.Lock()
        self._unchanged = SinceCommit(self._committed)
        self._session = sessionmaker(expire_on_commit=False, info={clock.INFO: DatabaseClock()})
        self._outages = Outages(first_seconds=FIRST_SECONDS, longest_seconds=LONGEST_SECONDS)

    @property
    def is_sqlite(self) -> bool:
        """Whether this is the embedded database."""
        return self._file is not None

    @property
    def is_read_only(self) -> bool:
        """Whether this is an embedded database that this process may not write."""
        return self._file is not None and self._file.is_read_only

    @contextmanager
    def read(self) -> Iterator[Session]:
        """Open a session for reading; changes made in it are rolled back."""
        with self._guarded(), self._session(bind=self.engine) as session:
            yield session

    def query(self) -> Reader:
        """Return what runs single SELECTs, without a transaction around them. Use it in a `with`.

        Each one sees what is committed when it runs. So the connection may wait for something else
        between two of them.
        """
        if self._file is not None:
            return Reader(
                self.engine,
                check=self._file.check_identity,
                kept=self.kept,
                unchanged=self._unchanged,
            )
        return Reader(self.engine, guard=self._guarded())

    def write(self, work: Callable[[Session], T]) -> T:
        """Run `work(session)` in one transaction; run it again if a deadlock has aborted it.

        `work` must be safe to run twice: what it does outside the session happens twice too.
        """
        turn = self._file.turn() if self._file is not None else None
        writer = self.engine.execution_options(lookalike_write=True, lookalike_turn=turn)
        for attempt in range(DEADLOCK_TRIES):
            try:
                with self._guarded(), self._session(bind=writer) as session, session.begin():
                    return work(session)
            except OperationalError as error:
                if getattr(error.orig, "sqlstate", None) not in RETRYABLE:
                    raise
                if attempt == DEADLOCK_TRIES - 1:
                    raise
                time.sleep(0.05 * 2**attempt)
            finally:
                if turn is not None:
                    turn.give_back()
        raise AssertionError("unreachable")

    def version(self) -> int | None:
        """Return what differs after each commit of any process, None where that is not known.

        It takes microseconds. Only a SQLite file has it: `PRAGMA data_version`, which leaves out
        the commits of its own connection. What is asked after it was read sees all of it.
        """
        if self.kept is None or self._file is None:
            return None
        self._file.check_identity()
        return self._committed()

    def _committed(self) -> int | None:
        """Do as `version`, without the check that the file is still the same."""
        if self.kept is None:
            return None
        with self._watch:
            if self._watching is None:
                self._watching = self.kept.take()
            try:
                found: int = self._watching.execute("PRAGMA data_version").fetchone()[0]
            except sqlite3.Error:  # whoever asks for more is told why
                return None
        return found

    def problem(self) -> str | None:
        """Return why a server is not asked now, None where it is."""
        return self._outages.reason(SERVER)

    def close(self) -> None:
        """Close all connections."""
        if self.kept is not None:
            with self._watch:
                if self._watching is not None:
                    self.kept.give_back(self._watching)
                self._watching = None
                self._unchanged.forget()
            self.kept.close()
        self.engine.dispose()

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        """Raise DatabaseUnavailable at once while a server does not answer; note how it went."""
        if self.is_sqlite:
            yield
            return
        from backend.database.postgresql import is_silence  # noqa: PLC0415  # needs psycopg

        if not self._outages.may_try(SERVER):
            raise DatabaseUnavailable(f"The database does not answer: {self.problem()}")
        try:
            yield
        except OperationalError as error:
            if is_silence(error):
                self._outages.fail(SERVER, str(error.orig), tolerated=TOLERATED)
            raise
        self._outages.work(SERVER)


def _make_server_engine(url: str, **options: Any) -> Engine:
    from backend.database import postgresql  # noqa: PLC0415  # needs psycopg

    connect = postgresql.KEEPALIVE | options.pop("connect_args", {})
    engine = create_engine(url, pool_pre_ping=True, connect_args=connect, **options)
    postgresql.limit_waits(engine)
    return engine
