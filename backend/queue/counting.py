"""How far a generation is, counted by one process for all.

Counting reads every entry: milliseconds in a small shop, seconds in one of ten million products,
and each API process is asked again and again. So the count of a large catalogue is left for the
others, and is good for a multiple of what it took: however often anyone asks, the database is busy
with counting for a small share of the time. A small shop's counts are always those of the moment.
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy.orm import Session

from backend.database.engine import Database
from backend.database.models import Count, utcnow
from backend.queue.progress import Progress, progress

GOOD_FOR: Final = 20
"""Times what counting took, for which a count is good."""

MANY: Final = 100_000
"""Products from which on a count is left for others; fewer are counted in no time."""


@dataclass(frozen=True)
class Counted:
    """A count, and when it was true."""

    progress: Progress
    at: datetime


def recent(session: Session, generation_id: int, *, now: datetime | None = None) -> Counted | None:
    """Return a count that is good still, if a process has left one."""
    kept = session.get(Count, generation_id)
    if kept is None or kept.good_until < (now or utcnow()):
        return None
    oldest = kept.progress["oldest_request"]
    values = kept.progress | {"oldest_request": oldest and datetime.fromisoformat(oldest)}
    return Counted(Progress(**values), kept.counted_at)


def count(db: Database, generation_id: int) -> Counted:
    """Count now, and leave the count for the others where there was much to count."""
    began, at = time.monotonic(), utcnow()
    with db.read() as session:
        counted = Counted(progress(session, generation_id), at)
    took = time.monotonic() - began
    if counted.progress.products >= MANY:
        db.write(lambda session: keep(session, generation_id, counted, took=took))
    return counted


def keep(session: Session, generation_id: int, counted: Counted, *, took: float) -> None:
    """Leave a count that took some seconds for the other processes."""
    oldest = counted.progress.oldest_request
    values = asdict(counted.progress) | {"oldest_request": oldest and oldest.isoformat()}
    good_until = counted.at + timedelta(seconds=GOOD_FOR * took)
    session.merge(
        Count(
            generation_id=generation_id,
            progress=values,
            counted_at=counted.at,
            good_until=good_until,
        )
    )
