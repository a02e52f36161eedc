"""Single SELECTs by the driver's own cursor.

SQLAlchemy compiles a statement, once; running it by a `Connection` costs as much as a SELECT of
twenty rows itself. Values are converted and errors translated as SQLAlchemy does both.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from contextlib import AbstractContextManager
from types import MappingProxyType
from typing import Any, Final, cast

from sqlalchemy import Engine, Select
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session
from sqlalchemy.pool import PoolProxiedConnection

from backend.database.prepared import prepare
from backend.database.since_commit import Kept, SinceCommit

MAPPED_BYTES: Final = 2**31 - 2**16
"""How much of a SQLite file is read as memory, at most: as much as SQLite maps. Beyond it, and in
the write-ahead log, each page is read by a call and copied."""

NONE: Final[Mapping[str, Any]] = MappingProxyType({})


class KeptConnections:
    """Connections of a SQLite file for single SELECTs, beside the pool. Threads may share them.

    To take one from the pool and give it back takes as long as a SELECT. These stay open until
    `close`: as many as were in use at once. They read the file as memory.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._free: list[DBAPIConnection] = []
        self._is_closed = False

    def take(self) -> DBAPIConnection:
        """Return a connection that nobody uses."""
        try:
            return self._free.pop()
        except IndexError:
            made = self._engine.raw_connection()
            driver = _driver_of(made)
            made.detach()
            driver.cursor().execute(f"PRAGMA mmap_size={MAPPED_BYTES}")
            return driver

    def give_back(self, connection: DBAPIConnection) -> None:
        """Let others use a connection again."""
        self._free.append(connection)
        if self._is_closed:
            self.close()

    @property
    def free(self) -> Sequence[DBAPIConnection]:
        """The connections that nobody uses."""
        return tuple(self._free)

    def close(self) -> None:
        """Close those that nobody uses, and later those that are in use."""
        self._is_closed = True
        while self._free:
            self._free.pop().close()


class Reader:
    """Runs single SELECTs, without a transaction around them, on one connection of a pool.

    Each one sees what is committed when it runs. So the reader may wait for something else between
    two of them. `guard` is entered with it, `check` is called before a connection is taken. `kept`
    are connections that are used in the place of the pool's, `unchanged` keeps what was read.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        guard: AbstractContextManager[None] | None = None,
        check: Callable[[], None] | None = None,
        kept: KeptConnections | None = None,
        unchanged: SinceCommit | None = None,
    ) -> None:
        self._engine = engine
        self._dialect = engine.dialect
        self._guard = guard
        self._check = check
        self._kept = kept
        self._since = unchanged
        self._known: dict[Hashable, Kept] | None = None  # what was kept when it was first asked for
        self._connection: PoolProxiedConnection | DBAPIConnection | None = None
        self._lent: PoolProxiedConnection | None = None  # the same, where it is the pool's

    def __enter__(self) -> Reader:
        if self._guard:
            self._guard.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self._give_back()
        if self._guard:
            self._guard.__exit__(*error)

    def rows(
        self,
        statement: Select[Any],
        parameters: Mapping[str, Any] = NONE,
        *,
        at_once: bool = False,
    ) -> list[Any]:
        """Return the rows, as tuples whose fields have the names of the columns.

        Make the statement once, not for each call: it is kept with its compiled text. A parameter
        that is `expanding` takes a list. With `at_once`, SQLite writes all rows as one text of
        JSON, which takes less time, and lets other threads run once, not at each row: only for
        columns without bytes, and for numbers of at most 15 digits. Raises SQLAlchemy's errors.
        """
        is_sqlite = self._dialect.name == "sqlite"
        prepared = prepare(statement, self._dialect, at_once=at_once and is_sqlite)
        text, given = prepared.bind(parameters)
        connection = self._connection or self._take_connection()
        cursor = connection.cursor()
        try:
            cursor.execute(text, given)
            found = cursor.fetchall()
            description = cursor.description
        except Exception as error:
            raise self._translated(error, text, given, cursor) from error
        finally:
            cursor.close()
        return prepared.named(found, description)

    def unchanged(self, name: Hashable) -> Kept | None:
        """Return what was kept of one kind since the last commit, None where nothing is kept.

        The last commit is the last one before this reader was first asked: all of an answer is by
        the same one.
        """
        if self._known is None and self._since is not None:
            self._known = self._since.now()
        return None if self._known is None else self._known.setdefault(name, {})

    def keep(self, kept: Kept, read: Mapping[Any, Any]) -> None:
        """Add what was read after `unchanged` was asked to what it returned."""
        if self._since is not None:
            self._since.keep(kept, read)

    def _take_connection(self) -> PoolProxiedConnection | DBAPIConnection:
        if self._check:
            self._check()
        try:
            if self._kept is not None:
                self._connection = self._kept.take()
                return self._connection
            connection = self._engine.raw_connection()
            if self._dialect.name != "sqlite":  # there the driver's own mode is this one
                self._dialect.set_isolation_level(_driver_of(connection), "AUTOCOMMIT")
        except Exception as error:
            raise self._translated(error, None, None, None) from error
        self._connection = self._lent = connection
        return connection

    def _give_back(self) -> None:
        taken, connection = self._connection, self._lent
        self._connection = self._lent = None
        if taken is not None and self._kept is not None:
            self._kept.give_back(taken)
        if connection is None:
            return
        try:
            if self._dialect.name != "sqlite" and connection.is_valid:
                self._dialect.reset_isolation_level(_driver_of(connection))
        except self._errors as error:
            connection.invalidate(error)
        connection.close()

    @property
    def _errors(self) -> type[Exception]:
        found: type[Exception] = self._dialect.loaded_dbapi.Error
        return found

    def _translated(self, error: Exception, text: str | None, given: Any, cursor: Any) -> Exception:
        """Return SQLAlchemy's error for the driver's; let a connection that is broken go."""
        if not isinstance(error, self._errors):
            return error
        connection, dialect = self._lent, self._dialect
        driver: Any = connection.dbapi_connection if connection else None
        known: Any = error
        is_gone = dialect.is_disconnect(known, driver, cursor)
        if is_gone and connection:
            connection.invalidate(error)
        return DBAPIError.instance(
            text,
            given,
            error,
            self._errors,
            connection_invalidated=is_gone,
            dialect=dialect,
        )


def rows_within(
    session: Session,
    statement: Select[Any],
    parameters: Mapping[str, Any] = NONE,
    *,
    at_once: bool = False,
) -> list[Any]:
    """Return the rows as `Reader.rows` does, within the transaction of a session."""
    connection = session.connection()
    is_sqlite = connection.dialect.name == "sqlite"
    prepared = prepare(statement, connection.dialect, at_once=at_once and is_sqlite)
    text, given = prepared.bind(parameters)
    result = connection.exec_driver_sql(text, tuple(given) if isinstance(given, list) else given)
    cursor = result.cursor
    found, description = cursor.fetchall(), cursor.description
    result.close()
    return prepared.named(found, description)


def _driver_of(connection: PoolProxiedConnection) -> DBAPIConnection:
    return cast("DBAPIConnection", connection.dbapi_connection)
