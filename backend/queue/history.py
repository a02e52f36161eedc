"""How much waited in each minute of the last day, for an operator's charts.

Processes that write the index take one sample a minute; a second sample in the same minute changes
nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from backend.database import clock
from backend.database.engine import Database
from backend.database.models import ACTIVE, Generation, QueueSample
from backend.database.upsert import upsert
from backend.queue import counting
from backend.queue.counting import Counted

SAMPLE_SECONDS: Final = 60
KEPT_MINUTES: Final = 24 * 60


@dataclass(frozen=True, kw_only=True)
class QueueMinute:
    """The queue of the active generation in one minute."""

    at: datetime  # when the minute began
    waiting: int  # products; one whose image is still to come does not count
    oldest_seconds: float  # how long the one that waited longest had been waiting; 0: none waited
    indexed: int
    quarantined: int


def sample(db: Database) -> None:
    """Note how much waits now, unless that was done in this minute; delete what is old."""
    with db.read() as session:
        minute = _minute(clock.now(session))
        active = session.scalar(select(Generation.id).where(Generation.state == ACTIVE))
        is_recorded = session.get(QueueSample, minute) is not None
    if active is not None and not is_recorded:
        counted = counting.current(db, active)
        db.write(lambda session: record(session, active, counted))


def record(session: Session, generation_id: int, counted: Counted) -> None:
    """Store a count as the sample of its minute, and delete what is older than a day."""
    now, minute = counted.progress, _minute(counted.at)
    since = now.oldest_request or counted.at
    insert = upsert(session, QueueSample).values(
        minute=minute,
        generation_id=generation_id,
        waiting=now.pending - now.awaited,
        oldest_seconds=round(max(0.0, (counted.at - since).total_seconds()), 1),
        indexed=now.indexed,
        quarantined=now.quarantined,
    )
    session.execute(insert.on_conflict_do_nothing())
    session.execute(delete(QueueSample).where(QueueSample.minute <= minute - KEPT_MINUTES))


def recorded(session: Session, *, now: datetime | None = None) -> list[QueueMinute]:
    """Return the samples of the last day, the oldest first. Minutes without one are left out."""
    oldest = _minute(now or clock.now(session)) - KEPT_MINUTES
    rows = session.scalars(
        select(QueueSample).where(QueueSample.minute > oldest).order_by(QueueSample.minute)
    )
    return [
        QueueMinute(
            at=datetime.fromtimestamp(row.minute * SAMPLE_SECONDS, UTC),
            waiting=row.waiting,
            oldest_seconds=row.oldest_seconds,
            indexed=row.indexed,
            quarantined=row.quarantined,
        )
        for row in rows
    ]


def _minute(moment: datetime) -> int:
    return int(moment.timestamp()) // SAMPLE_SECONDS
