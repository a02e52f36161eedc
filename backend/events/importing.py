"""Import a file of events: in parts, each one transaction, so it can be repeated after a kill."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Final

from sqlalchemy.orm import Session

from backend.database import clock
from backend.database.engine import Database
from backend.errors import InvalidEvent
from backend.events import record
from backend.events.event_file import RejectedRow
from backend.events.record import NewEvent

AT_ONCE: Final = 5000
SHOWN: Final = 20
"""Rejected rows that the report names."""


@dataclass
class EventReport:
    """What became of the rows of a file."""

    rows: int = 0
    stored: int = 0
    duplicates: int = 0
    unknown: int = 0
    rejected: int = 0
    rejects: list[dict[str, Any]] = field(default_factory=list)

    def reject(self, row: RejectedRow) -> None:
        """Count a row that gave no event; the first ones are kept."""
        self.rejected += 1
        if len(self.rejects) < SHOWN:
            self.rejects.append({"line": row.line, "reason": row.reason})


def import_events(
    db: Database,
    rows: Iterable[NewEvent | RejectedRow],
    *,
    days: int,
    report_to: Callable[[int, int | None], None] | None = None,
) -> EventReport:
    """Store the events of a file; what is stored already changes nothing.

    Rows without a time cannot be told from each other when the file is read again, so they are
    rejected. `days` is how long events are kept; older ones are rejected too.
    """
    report = EventReport()
    for part in _parts(rows):
        report.rows += len(part)
        numbered = list(enumerate(part, start=report.rows - len(part) + 2))
        done, rejects = db.write(lambda session, it=numbered: _store(session, it, days))  # type: ignore[misc]
        report.stored += done.stored
        report.duplicates += done.duplicates
        report.unknown += done.unknown
        for reject in rejects:
            report.reject(reject)
        if report_to:
            report_to(report.rows, None)
    return report


def _parts(rows: Iterable[NewEvent | RejectedRow]) -> Iterator[list[NewEvent | RejectedRow]]:
    iterator = iter(rows)
    while part := list(islice(iterator, AT_ONCE)):
        yield part


def _store(
    session: Session, rows: list[tuple[int, NewEvent | RejectedRow]], days: int
) -> tuple[record.Recorded, list[RejectedRow]]:
    now, good, rejects = clock.now(session), [], []
    for line, row in rows:
        if isinstance(row, RejectedRow):
            rejects.append(row)
            continue
        try:
            if row.at is None and row.id is None:
                raise InvalidEvent("at: a row of a file needs a time or an id")
            good.append(record.with_checked_time(row, now=now, days=days))
        except InvalidEvent as error:
            rejects.append(RejectedRow(line, error.message))
    return record.record(session, good, now=now), rejects
