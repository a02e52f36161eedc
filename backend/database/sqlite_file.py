"""The embedded database as a file: opening it, waiting for its lock, and noticing that it is gone.

Readers never wait for a writer, because SQLite keeps a write-ahead log. Without it, which a network
disk may not grant, they would: such a file is refused. A file that this process may not write is
opened for reading only.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from contextvars import ContextVar
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL
from sqlalchemy.orm import Session

from backend.errors import ConfigurationError, DatabaseUnavailable

SQLITE_TIMEOUT_SECONDS = 30.0
"""How long a writer waits for another one, where nobody waits for the writer."""

REQUEST_SECONDS: Final = 1.0
AGAIN_SECONDS: Final = 0.05
"""How long the write of a request waits: the first one, and those while the lock is still held. A
waiting request takes a thread that others need."""

TURN_SECONDS: Final = 10.0
"""How long a write of a request waits for others of its process, while these get the lock."""

patience: ContextVar[float] = ContextVar("patience", default=SQLITE_TIMEOUT_SECONDS)
"""How many seconds a write of this thread may wait for the lock of the file."""


def make_engine(file: SqliteFile, url: URL, **options: Any) -> Engine:
    """Make the engine of a SQLite database. Raises OSError when its folder cannot be made."""
    if file.path and not file.path.parent.exists():
        file.path.parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(url, connect_args={"timeout": SQLITE_TIMEOUT_SECONDS}, **options)
    event.listen(engine, "do_connect", file.connect)
    event.listen(engine, "connect", file.prepare)
    event.listen(engine, "begin", file.begin)
    event.listen(engine, "handle_error", file.note_error)
    return engine


def enlarge_cache(session: Session, kib: int) -> None:
    """Let the connection of a session keep more pages in memory, as long as it is open."""
    connection = session.connection()
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql(f"PRAGMA cache_size=-{kib}")


class Writers:
    """The write transactions of a process, which take turns; `begun` counts those that began."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.begun = 0


class WriterTurn:
    """The turn of a write transaction: one after the other within a process.

    SQLite does not queue writers. Each looks again after a pause of up to 0.1 s, so of several that
    come all the time some find the lock taken for a second.
    """

    def __init__(self, writers: Writers) -> None:
        self._writers = writers
        self._is_taken = False

    def take(self, seconds: float) -> float:
        """Wait so many seconds, and again while others begin; return how long SQLite may take.

        While others begin it goes on for TURN_SECONDS at most.
        """
        began = time.monotonic()
        while not self._is_taken:
            before = self._writers.begun
            self._is_taken = self._writers.lock.acquire(timeout=seconds)
            if before == self._writers.begun or time.monotonic() - began > TURN_SECONDS:
                break
        return seconds if self._is_taken else AGAIN_SECONDS

    def give_back(self) -> None:
        """Let the next one write. Without a turn that was taken it does nothing."""
        if self._is_taken:
            self._is_taken = False
            self._writers.lock.release()


class SqliteFile:
    """One database file, or the memory of a connection, as one process uses it."""

    def __init__(self, url: URL) -> None:
        name = url.database
        self.path = Path(name) if name and not name.startswith((":memory:", "file:")) else None
        self._place = str(self.path)
        self._identity: tuple[int, int] | None = None
        self._locked_at = -SQLITE_TIMEOUT_SECONDS
        self._writers = Writers()

    @property
    def is_read_only(self) -> bool:
        """Whether the file is there, and neither it nor its log can be written."""
        if self.path is None or not self.path.exists():
            return False
        return not all(
            os.access(place, os.W_OK, effective_ids=True) for place in (self.path, self.path.parent)
        )

    def connect(
        self, _dialect: Any, _record: Any, arguments: Any, options: Any
    ) -> sqlite3.Connection | None:
        """Open a file for reading that cannot be written; leave all others to SQLAlchemy."""
        self.check_identity()
        if not self.is_read_only:
            return None
        log = Path(f"{self.path}-wal")
        has_log = log.exists() and log.stat().st_size > 0
        mode = "mode=ro" if has_log else "immutable=1"  # without a log nothing can change it
        opened: sqlite3.Connection = sqlite3.connect(
            f"file:{quote(str(self.path))}?{mode}", **{**options, "uri": True}
        )
        return opened

    def prepare(self, connection: Any, _record: Any) -> None:
        """Set up a new connection. Raises ConfigurationError without a write-ahead log."""
        connection.isolation_level = None  # `begin` sends BEGIN itself
        if not self.is_read_only:
            self._switch_to_wal(connection)
        for pragma in ("synchronous=NORMAL", "foreign_keys=ON"):
            connection.execute(f"PRAGMA {pragma}")
        if self._identity is None and self.path is not None:
            self._identity = _identity_of(self._place)

    def begin(self, connection: Connection) -> None:
        """Begin a transaction; one that writes takes the lock."""
        self.check_identity()
        if not connection.get_execution_options().get("lookalike_write"):
            connection.exec_driver_sql("BEGIN")
            return
        turn, seconds = connection.get_execution_options().get("lookalike_turn"), self._seconds()
        if isinstance(turn, WriterTurn):
            seconds = turn.take(seconds)
        connection.exec_driver_sql(f"PRAGMA busy_timeout={round(1000 * seconds)}")
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        self._writers.begun += 1

    def turn(self) -> WriterTurn:
        """Return the turn of one write transaction among those of this process."""
        return WriterTurn(self._writers)

    def note_error(self, context: Any) -> None:
        """Note that another process holds the lock, so that requests do not all wait for it."""
        number = getattr(context.original_exception, "sqlite_errorcode", 0)
        if number & 0xFF == sqlite3.SQLITE_BUSY:
            self._locked_at = time.monotonic()

    def _seconds(self) -> float:
        allowed = patience.get()
        is_held = time.monotonic() - self._locked_at < REQUEST_SECONDS
        return AGAIN_SECONDS if is_held and allowed < SQLITE_TIMEOUT_SECONDS else allowed

    def check_identity(self) -> None:
        """Raise DatabaseUnavailable if the file was deleted or replaced: writes would be lost."""
        if self.path is None or self._identity is None:
            return
        if _identity_of(self._place) == self._identity:
            return
        raise DatabaseUnavailable(
            f"the database file {self.path} was deleted or replaced while this process uses it: "
            "stop the process, then bring the file back or use `lookalike restore`"
        )

    def _switch_to_wal(self, connection: Any) -> None:
        """Switch to the write-ahead log.

        Unlike elsewhere, SQLite does not wait here while other processes open the same new file.
        """
        deadline = time.monotonic() + SQLITE_TIMEOUT_SECONDS
        while True:
            try:
                (mode,) = connection.execute("PRAGMA journal_mode=WAL").fetchone()
            except sqlite3.OperationalError as error:
                is_busy = error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY
                if not is_busy or time.monotonic() > deadline:
                    raise
                time.sleep(0.01)
            else:
                break
        if mode not in ("wal", "memory"):
            raise ConfigurationError(
                f"the file system of {self.path or 'the database'} supports no write-ahead log "
                f"(journal mode {mode}); a network disk may not: put LOOKALIKE_DATA_DIR on a local "
                "disk, or set DATABASE_URL to a PostgreSQL server"
            )


def _identity_of(path: str) -> tuple[int, int] | None:
    try:
        found = os.stat(path)  # noqa: PTH116  # Path.stat takes twice as long
    except OSError:
        return None
    return found.st_dev, found.st_ino
