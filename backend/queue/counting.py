"""The progress of a generation, counted by one process and stored for the others.

Counting reads every entry: that takes milliseconds in a small shop, and seconds with ten million
products. So the count of a large catalogue is stored and used for a multiple of the time that
counting took: the database spends only a small share of its time on counting, however many requests
there are. The count of a small catalogue is never stored.
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy.orm import Session

from backend.database import clock
from backend.database.engine import Database
from backend.database.models import Count
from backend.database.upsert import upsert
from backend.queue.progress import Progress, progress

GOOD_FOR: Final = 20
"""A count is used for this many times as long as counting took."""

MANY: Final = 100_000
"""With fewer products than this, a count is not stored: counting is fast."""


@dataclass(frozen=True)
class Counted:
    """A count and its time."""

    progress: Progress
    at: datetime


def recent(session: Session, generation_id: int, *, now: datetime | None = None) -> Counted | None:
    """Return a stored count that may still be used, None if there is none."""
    kept = session.get(Count, generation_id)
    if kept is None or kept.good_until < (now or clock.now(session)):
        return None
    oldest = kept.progress["oldest_request"]
    values = kept.progress | {"oldest_request": oldest and datetime.fromisoformat(oldest)}
    return Counted(Progress(**values, awaited=kept.awaited or 0), kept.counted_at)


def current(db: Database, generation_id: int) -> Counted:
    """Return the stored count if it may still be used, else count now. Uses one connection."""
    with db.read() as session:
        found = recent(session, generation_id)
    return found or count(db, generation_id)


def count(db: Database, generation_id: int) -> Counted:
    """Count now; store the count for other processes if there are MANY products or more."""
    with db.read() as session:
        began, at = time.monotonic(), clock.now(session)
        counted = Counted(progress(session, generation_id), at)
    took = time.monotonic() - began
    if counted.progress.products >= MANY:
        db.write(lambda session: keep(session, generation_id, counted, took=took))
    return counted


def keep(session: Session, generation_id: int, counted: Counted, *, took: float) -> None:
    """Store a count for other processes. `took` is the seconds that counting took."""
    oldest = counted.progress.oldest_request
    values = asdict(counted.progress) | {"oldest_request": oldest and oldest.isoformat()}
    del values["awaited"]  # an earlier release, which may still run, does not know it
    good_until = counted.at + timedelta(seconds=GOOD_FOR * took)
    insert = upsert(session, Count).values(
        generation_id=generation_id,
        progress=values,
        awaited=counted.progress.awaited,
        counted_at=counted.at,
        good_until=good_until,
    )
    new = insert.excluded  # two processes may store at once: the last one's count stays
    columns = ("progress", "awaited", "counted_at", "good_until")
    session.execute(
        insert.on_conflict_do_update(
            index_elements=[Count.generation_id], set_={name: new[name] for name in columns}
        )
    )
