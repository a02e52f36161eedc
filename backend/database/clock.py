"""The one clock of due times, leases and heartbeats: that of the database.

On PostgreSQL it is the server's clock, so hosts need not agree on the time. On SQLite all processes
are on one host. They use the time since the host has started, which nobody can set, and the row
`clock` says what time it was at the start.

The server's clock may be put back too. A process notices that by the time that has passed on its
own host, and the row then says how much is added to the server's clock. So this time never goes
back; if the clock is put forward, leases only end earlier.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any, Final

import structlog
from sqlalchemy import ColumnElement, Connection, case, func, select, update
from sqlalchemy.orm import Session

from backend.database.dialect import is_postgresql
from backend.database.models import ClockRow, IndexEntry, Job
from backend.database.upsert import upsert

log = structlog.get_logger(__name__)

INFO: Final = "lookalike.clock"
"""Where a session keeps its `DatabaseClock`: `session.info[INFO]`."""

ONLY_ROW: Final = 1
BACK: Final = timedelta(seconds=1)
"""The clock was put back if it lags more than this behind the time that has passed here."""

DRIFT: Final = 1e-4
"""How much faster or slower this host's clock may run than the server's."""

SEEN_EVERY: Final = timedelta(seconds=10)
"""How often the time is written down, for a start after which no process remembers it."""

SKEWED_SECONDS: Final = 5.0
"""Clocks that are further apart are a mistake of an operator, who should know of it."""

APART: Final = timedelta(seconds=2)
"""An owner that starts sets the clock of a SQLite file if it differs more from the host's."""


def wall() -> datetime:
    """Return the time that this host's clock shows: it may be wrong, and it may be put back."""
    return datetime.now(UTC)


def elapsed() -> float:
    """Return the seconds since this host has started, the same in all of its processes."""
    return time.monotonic()


def server_time() -> ColumnElement[datetime]:
    """Return what PostgreSQL's host says the time is, as SQL."""
    return func.clock_timestamp()


@cache
def boot() -> str:
    """Return what names this start of the host; empty where the system does not tell."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""


def now(session: Session) -> datetime:
    """Return the time by the database's clock. It never goes back by more than a second."""
    clock: DatabaseClock = session.info.setdefault(INFO, DatabaseClock())
    return clock.read(session.connection())


def age(session: Session, since: datetime) -> float:
    """Return how many seconds ago a moment was, never a negative number."""
    return max(0.0, (now(session) - since).total_seconds())


def skew(session: Session) -> float:
    """Return by how many seconds this host's clock is ahead of the database's."""
    return (wall() - now(session)).total_seconds()


@dataclass(frozen=True)
class _Reading:
    at: datetime
    elapsed: float  # just after it was read


class DatabaseClock:
    """What one process knows of the clock of its database. Safe to use in several threads."""

    def __init__(self) -> None:
        self._last: _Reading | None = None
        self._origin: datetime | None = None  # where the row of a SQLite file cannot be written

    def read(self, connection: Connection) -> datetime:
        """Return the time; in a session that writes, also note what others have to know of it."""
        if is_postgresql(connection):
            return self._read_server(connection)
        return self._origin_of(connection) + timedelta(seconds=elapsed())

    def _read_server(self, connection: Connection) -> datetime:
        began = elapsed()
        server: datetime
        server, ahead, seen = connection.execute(
            select(server_time(), _value(ClockRow.ahead_seconds), _value(ClockRow.seen_at))
        ).one()
        moment = found = server.astimezone(UTC) + timedelta(seconds=ahead or 0)
        if self._last is not None:
            passed = timedelta(seconds=began - self._last.elapsed)
            expected = self._last.at + passed
            if expected - moment > BACK + DRIFT * passed:
                moment = expected
        moment = moment if seen is None else max(moment, seen)
        self._last = _Reading(moment, elapsed())
        if _writes(connection) and (moment > found or seen is None or moment - seen > SEEN_EVERY):
            _write_down(connection, moment, ahead=moment - server)
        return moment

    def _origin_of(self, connection: Connection) -> datetime:
        """Return what time it was when the host started, by the row or as the host says now."""
        row = connection.execute(select(ClockRow.boot, ClockRow.origin)).first()
        if row is not None and row.origin is not None and row.boot == boot():
            self._origin = row.origin
        elif _writes(connection):
            self._origin = _start(connection, self._origin)
        elif self._origin is None:
            self._origin = wall() - timedelta(seconds=elapsed())
        return self._origin


def is_skewed(seconds: float) -> bool:
    """Tell whether a skew is worth a warning."""
    return abs(seconds) > SKEWED_SECONDS


def start_anew(session: Session) -> None:
    """Set the clock of a SQLite file by the host's clock, if the two are apart.

    Only for a process that knows that no other works on the queue. On PostgreSQL it does nothing.
    """
    connection = session.connection()
    if not is_postgresql(connection) and abs(wall() - now(session)) > APART:
        _start(connection, None)


def _value(column: Any) -> Any:
    return select(column).where(ClockRow.id == ONLY_ROW).scalar_subquery()


def _writes(connection: Connection) -> bool:
    return bool(connection.get_execution_options().get("lookalike_write"))


def _start(connection: Connection, origin: datetime | None) -> datetime:
    """Begin the clock of a SQLite file, in the first write after a start of the host.

    The former start may have been later than the present time. So what lies in the future now,
    which is mostly leases of processes that are gone, is due at once.
    """
    origin = origin or wall() - timedelta(seconds=elapsed())
    values = {"boot": boot(), "origin": origin}
    connection.execute(
        _insert(connection, values).on_conflict_do_update(index_elements=["id"], set_=values)
    )
    moment = origin + timedelta(seconds=elapsed())
    for column in (IndexEntry.due_at, IndexEntry.requested_at, Job.wake_at, Job.heartbeat_at):
        future = update(column.class_).where(column > moment).values({column.key: moment})
        connection.execute(future)
    return origin


def _write_down(connection: Connection, moment: datetime, *, ahead: timedelta) -> None:
    """Write down the time, and by how much it is ahead of the server's clock.

    Nobody waits for the row: where another process holds it, that one writes about the same.
    """
    ahead_seconds = max(0.0, ahead.total_seconds())
    if ahead > BACK:
        log.warning("the clock of the database was put back", seconds=round(ahead_seconds, 1))
    values = {"ahead_seconds": ahead_seconds, "seen_at": moment}
    free = select(ClockRow.id).where(ClockRow.id == ONLY_ROW).with_for_update(skip_locked=True)
    known = connection.scalar(select(ClockRow.id))
    if known is None:
        connection.execute(_insert(connection, values).on_conflict_do_nothing())
    elif connection.scalar(free) is not None:
        ahead_now = case(
            (ClockRow.ahead_seconds > ahead_seconds, ClockRow.ahead_seconds), else_=ahead_seconds
        )
        connection.execute(update(ClockRow).values(values | {"ahead_seconds": ahead_now}))


def _insert(connection: Connection, values: dict[str, Any]) -> Any:
    return upsert(connection, ClockRow).values(id=ONLY_ROW, **values)
