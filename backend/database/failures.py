"""What an error of the database means: whose fault it is, and what helps.

The drivers give a code: SQLite as `sqlite_errorcode`, PostgreSQL as `sqlstate`. A few errors are
raised by the driver itself, before anything is sent, and have only a message.
"""

from __future__ import annotations

import errno
import re
import sqlite3
from typing import Final

from alembic.util import CommandError
from sqlalchemy import exc

from backend import errors
from backend.database.models import Base
from backend.errors import LookalikeError

_SQLITE: Final[dict[int, type[LookalikeError]]] = {
    sqlite3.SQLITE_BUSY: errors.DatabaseLocked,
    sqlite3.SQLITE_LOCKED: errors.DatabaseLocked,
    sqlite3.SQLITE_FULL: errors.DatabaseFull,
    sqlite3.SQLITE_READONLY: errors.DatabaseReadOnly,
    sqlite3.SQLITE_CORRUPT: errors.DatabaseDamaged,
    sqlite3.SQLITE_NOTADB: errors.DatabaseDamaged,
    sqlite3.SQLITE_CANTOPEN: errors.DatabaseFileFailed,
    sqlite3.SQLITE_IOERR: errors.DatabaseFileFailed,
    sqlite3.SQLITE_NOMEM: errors.DatabaseBusy,
    sqlite3.SQLITE_TOOBIG: errors.TooManyParameters,
}
"""By primary result code: the low byte of an extended one."""

_SQLITE_WRITES: Final = frozenset(
    {
        sqlite3.SQLITE_IOERR_WRITE,
        sqlite3.SQLITE_IOERR_FSYNC,
        sqlite3.SQLITE_IOERR_DIR_FSYNC,
        sqlite3.SQLITE_IOERR_TRUNCATE,
        sqlite3.SQLITE_IOERR_SHMSIZE,
    }
)
"""Extended codes of writing alone, such as beyond a quota or RLIMIT_FSIZE."""

_POSTGRESQL: Final[dict[str, type[LookalikeError]]] = {
    "08": errors.DatabaseUnavailable,  # connection exceptions
    "57P": errors.DatabaseUnavailable,  # it is starting, or shutting down
    "53300": errors.DatabaseBusy,  # too many connections
    "53100": errors.DatabaseFull,
    "53200": errors.DatabaseBusy,  # out of memory
    "55P03": errors.DatabaseLocked,
    "40": errors.DatabaseLocked,  # deadlocks and serialization failures
    "57014": errors.DatabaseTooSlow,  # statement_timeout
    "25P03": errors.DatabaseTooSlow,  # idle_in_transaction_session_timeout
    "25P04": errors.DatabaseTooSlow,  # transaction_timeout
    "58": errors.DatabaseFileFailed,  # its disk
    "42501": errors.DatabaseForbidden,
    "25006": errors.DatabaseReadOnly,
    "XX001": errors.DatabaseDamaged,
    "XX002": errors.DatabaseDamaged,
    "54": errors.TooManyParameters,  # program limits: too complex, too many arguments
    "22021": errors.BadEncoding,
    "22P05": errors.NulByte,  # \\u0000 in JSON
    "22003": errors.NumberTooLarge,
}
"""By the beginning of a SQLSTATE; the longest counts."""

_MESSAGES: Final[tuple[tuple[str, type[LookalikeError]], ...]] = (
    ("too many SQL variables", errors.TooManyParameters),
    ("Expression tree is too large", errors.TooManyParameters),
    ("parser stack overflow", errors.TooManyParameters),
    ("number of parameters must be between", errors.TooManyParameters),
    ("NUL (0x00)", errors.NulByte),
    ("null character", errors.NulByte),
    # PostgreSQL refuses a connection, and psycopg gives no code for that
    ("too many clients already", errors.DatabaseBusy),
    ("remaining connection slots are reserved", errors.DatabaseBusy),
    ("too many connections for ", errors.DatabaseBusy),
)


_MISSING_TABLE: Final = re.compile(r"(?:no such table: |relation \")(\w+)(?:\" does not exist)?")


READS_GO_ON: Final = (
    errors.DatabaseFull,
    errors.DatabaseLocked,
    errors.DatabaseReadOnly,
    errors.DatabaseUnwritable,
    errors.DatabaseTooSlow,
)
"""Writes or long statements fail, not reads: no reason to send readers elsewhere."""


def meaning_of(error: BaseException | None) -> LookalikeError | None:
    """Return the domain error that an error of the database, or of its driver, means.

    None for all others: these are faults of the program.
    """
    if isinstance(error, exc.TimeoutError):  # no connection of the pool became free
        return errors.DatabaseBusy()
    if isinstance(error, exc.DBAPIError):
        kind = _kind_of(error)
        return kind() if kind else None
    if isinstance(error, exc.StatementError):
        return meaning_of(error.orig)
    if isinstance(error, UnicodeEncodeError) and "surrogates" in error.reason:
        return errors.BadEncoding()
    if isinstance(error, OverflowError) and "SQLite" in str(error):
        return errors.NumberTooLarge()
    return None


def meaning_of_sqlite(error: sqlite3.Error) -> type[LookalikeError]:
    """Return the kind of error that one of SQLite's own driver is, as a backup raises it."""
    return _of_sqlite(getattr(error, "sqlite_errorcode", 0)) or errors.DatabaseUnavailable


def _of_sqlite(number: int) -> type[LookalikeError] | None:
    """Return what a result code of SQLite, also an extended one, means."""
    return errors.DatabaseUnwritable if number in _SQLITE_WRITES else _SQLITE.get(number & 0xFF)


def _kind_of(error: exc.DBAPIError) -> type[LookalikeError] | None:
    message = str(error.orig)
    for part, kind in _MESSAGES:
        if part in message:
            return kind
    if (missing := _MISSING_TABLE.search(message)) and missing[1] in Base.metadata.tables:
        return errors.DatabaseNotMigrated
    number = getattr(error.orig, "sqlite_errorcode", None)
    if number is not None:
        return _of_sqlite(number)
    state = getattr(error.orig, "sqlstate", None)
    if state is None:  # the driver could not connect, or lost the connection
        is_lost = error.connection_invalidated or type(error).__name__ == "OperationalError"
        return errors.DatabaseUnavailable if is_lost else None
    starts = [start for start in _POSTGRESQL if state.startswith(start)]
    return _POSTGRESQL[max(starts, key=len)] if starts else None


def disk_full(error: OSError) -> LookalikeError | None:
    """Return what an error of a file means where its disk is full; None for any other."""
    return errors.DiskFull() if error.errno in (errno.ENOSPC, errno.EDQUOT) else None


def why(error: BaseException) -> str:
    """Return what the driver says, in one line and without the statement."""
    said = str(getattr(error, "orig", None) or error).strip()
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__


def explain(error: BaseException, *, database: str) -> str | None:
    """Say in one line what failed, where, and what to do; None for a fault of the program.

    `database` names the database without its password, such as a path or a host.
    """
    if isinstance(error, CommandError):  # of Alembic
        return f"the database {database} cannot be migrated: {why(error)}"
    if isinstance(error, OSError) and error.strerror:
        return _explain_file(error)
    meaning = meaning_of(error)
    if meaning is None:
        return None
    return f"{meaning.message.rstrip('.')}: {database}: {why(error)}"


def _explain_file(error: OSError) -> str:
    place = f" {error.filename}" if error.filename else ""
    advice = _ADVICE.get(error.errno or 0, "")
    return f"cannot use{place}: {error.strerror}{advice and f'; {advice}'}"


_ADVICE: Final = {
    errno.ENOSPC: "make room on the disk",
    errno.EDQUOT: "make room on the disk",
    errno.EACCES: "give the user of this process access to it",
    errno.EPERM: "give the user of this process access to it",
    errno.EROFS: "this file system can only be read",
    errno.EMFILE: "raise the limit of open files",
}
