"""Claim due rows, and find out whether any are due."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, select, update
from sqlalchemy.orm import Session

from backend.database import clock
from backend.database.engine import Database
from backend.queue.entries import (
    REINDEX,
    Claimed,
    Entry,
    Stage,
    update_and_count,
    waits_for,
)


def claim(
    session: Session,
    generation_id: int,
    stage: Stage,
    *,
    limit: int,
    lease: timedelta,
    failed_before: bool = False,
    up_to: int = REINDEX,
    now: datetime | None = None,
) -> list[Claimed]:
    """Take due rows of a priority up to `up_to`, by priority, then age, until the lease ends.

    The embed stage takes rows that never failed or, with `failed_before`, rows that did. Take
    those one at a time: an image that kills the process must not quarantine others. The failure
    counter rises before the attempt, so that a killed process counts too.
    """
    now = now or clock.now(session)
    due = (
        select(Entry.product_id)
        .where(_is_due(generation_id, stage, now), Entry.priority <= up_to)
        .order_by(Entry.priority, Entry.due_at, Entry.product_id)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    changes: dict[str, Any] = {"claim": Entry.claim + 1, "due_at": now + lease}
    if stage is Stage.EMBED:
        due = due.where(Entry.failures > 0 if failed_before else Entry.failures == 0)
        changes["failures"] = Entry.failures + 1
    return _take(session, generation_id, due, changes)


def _take(
    session: Session, generation_id: int, due: Select[int], changes: dict[str, Any]
) -> list[Claimed]:
    """Change the entries of these products, and return them as they are then, in id order."""
    # A CTE runs once; a plain IN may run again for each row, and lock others each time.
    ids = select(due.cte("due").c.product_id)
    rows = session.execute(
        update(Entry)
        .where(Entry.generation_id == generation_id, Entry.product_id.in_(ids))
        .values(changes)
        .returning(
            *(Entry.product_id, Entry.claim, Entry.wanted, Entry.failures),
            *(Entry.embedded_digest, Entry.more_digests, Entry.more_points),
            Entry.image_awaited_since,
        )
        .execution_options(synchronize_session=False)
    )
    return sorted((Claimed.of_row(row) for row in rows), key=lambda row: row.product_id)


def is_due(
    session: Session, generation_id: int, stage: Stage, *, now: datetime | None = None
) -> bool:
    """Tell whether `claim` would find a row; takes no lock, so that an idle poll costs nothing."""
    due = select(Entry.product_id).where(_is_due(generation_id, stage, now or clock.now(session)))
    return session.scalar(due.limit(1)) is not None


def first_due(
    session: Session, generation_id: int, stage: Stage, *, now: datetime | None = None
) -> int | None:
    """Return the priority of what `claim` would take first, None when nothing is due."""
    due = select(Entry.priority).where(_is_due(generation_id, stage, now or clock.now(session)))
    return session.scalar(due.order_by(Entry.priority).limit(1))


def is_busy(db: Database, generation_id: int) -> bool:
    """Tell whether any stage of a generation has something due now."""
    with db.read() as session:
        return any(is_due(session, generation_id, stage) for stage in Stage)


def free_leases(session: Session, *, stage: Stage | None = None) -> int:
    """Make every leased row due again, or those in one stage; return how many.

    Only for a process that knows that no other process works on the queue, or on this stage.
    """
    now = clock.now(session)
    leased = update(Entry).where(Entry.due_at > now)
    if stage is not None:
        leased = leased.where(waits_for(stage))
    return update_and_count(session, leased.values(due_at=now))


def _is_due(generation_id: int, stage: Stage, now: datetime) -> ColumnElement[bool]:
    return and_(Entry.generation_id == generation_id, Entry.due_at <= now, waits_for(stage))
