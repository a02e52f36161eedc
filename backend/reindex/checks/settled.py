"""Check the queue's rows of a generation: are they settled, and does the index agree?"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session

from backend import queue
from backend.database import clock
from backend.database.engine import Database
from backend.database.models import Generation, IndexEntry
from backend.queue.progress import count_points
from backend.reindex.checks.verdict import Bounds, Check, Side


def count_unsettled(session: Session, generation_id: int, *, before: datetime) -> int:
    """Count the rows that were due before a moment and are neither settled nor quarantined.

    Rows that wait for the host are left out: nobody knows for how long. Coverage bounds them.
    """
    return _count(
        session, generation_id, IndexEntry.requested_at < before, _is_due(), ~queue.waits_for_host()
    )


def check_queue(
    db: Database, generation: Generation, *, began: datetime, bounds: Bounds
) -> list[Check]:
    """Check that rows from before the check are settled, and that no row waits too long."""
    with db.read() as session:
        left = count_unsettled(session, generation.id, before=began)
        oldest = session.scalar(
            select(func.min(IndexEntry.requested_at)).where(
                IndexEntry.generation_id == generation.id, _is_due(), ~queue.waits_for_host()
            )
        )
        waits = clock.age(session, oldest) if oldest else 0.0
    longest = bounds.wait.total_seconds()
    return [
        Check(
            name="unsettled",
            value=left,
            bound=0,
            passed=left == 0,
            says=f"{left} products that were due when the check began are not indexed yet",
        ),
        Check(
            name="longest_wait_seconds",
            value=round(waits, 1),
            bound=longest,
            passed=waits <= longest,
            says=f"a product has been waiting for {waits:.0f} s, {longest:.0f} s are allowed",
        ),
    ]


def check_counts(db: Database, side: Side) -> Check:
    """Check that the index holds as many points as SQL says, except for rows that are due."""
    with db.read() as session:
        before = count_points(session, side.generation.id)
    found = side.index.count()
    with db.read() as session:
        after = count_points(session, side.generation.id)
        moving = _count(session, side.generation.id, _is_due())
        points_moving = moving * (side.generation.most_images or 1)
    what = "points" if side.generation.most_images else "products"
    off = max(0, abs(found - after) - abs(after - before) - points_moving)
    return Check(
        name="counts",
        value=found,
        bound=after,
        passed=off == 0,
        says=f"the index holds {found} {what}, SQL says {after} ({moving} are under way)",
    )


def count_arriving(session: Session, generation_id: int) -> int:
    """Count the products that are on their way into the index for the first time."""
    return _count(session, generation_id, IndexEntry.indexed_claim.is_(None), _is_due())


def _count(session: Session, generation_id: int, *which: ColumnElement[bool]) -> int:
    rows = select(func.count()).where(IndexEntry.generation_id == generation_id, *which)
    return session.scalar(rows) or 0


def _is_due() -> ColumnElement[bool]:
    return IndexEntry.due_at.is_not(None)
