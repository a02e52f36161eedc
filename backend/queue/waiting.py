"""What waits in the queue and what is in quarantine, counted for an operator."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import Final

from sqlalchemy import func, literal_column, select
from sqlalchemy.orm import Session

from backend.database.text import before
from backend.queue.entries import Entry

OTHER: Final = "other"
MOST_KINDS: Final = 40
"""Kinds of reasons that are told apart: there are about twenty codes of errors."""


def by_priority(
    session: Session, generation_ids: Sequence[int]
) -> dict[tuple[int, int], tuple[int, datetime]]:
    """Return {(generation, priority): (rows that wait or are claimed, since when the oldest)}."""
    rows = session.execute(
        select(Entry.generation_id, Entry.priority, func.count(), func.min(Entry.requested_at))
        .where(Entry.generation_id.in_(generation_ids), Entry.due_at.is_not(None))
        .group_by(Entry.generation_id, Entry.priority)
    )
    return {(generation, priority): (count, since) for generation, priority, count, since in rows}


def quarantined_by_kind(session: Session, generation_id: int) -> Counter[str]:
    """Count the rows in quarantine by the code that their reason begins with."""
    kind = before(Entry.last_error, literal_column("':'"))
    rows = session.execute(
        select(kind, func.count())
        .where(
            Entry.generation_id == generation_id,
            Entry.last_error.is_not(None),
            Entry.due_at.is_(None),
        )
        .group_by(kind)
        .order_by(func.count().desc(), kind)
    ).all()
    found: Counter[str] = Counter()
    for name, count in rows[:MOST_KINDS]:
        found[name] = count
    if rest := sum(count for _, count in rows[MOST_KINDS:]):
        found[OTHER] += rest
    return found


def since(
    session: Session, generation_id: int, product_ids: Sequence[int]
) -> dict[int, tuple[int, datetime]]:
    """Return {product id: (priority, since when it waits)} of rows of one generation."""
    rows = session.execute(
        select(Entry.product_id, Entry.priority, Entry.requested_at).where(
            Entry.generation_id == generation_id, Entry.product_id.in_(product_ids)
        )
    )
    return {id_: (priority, at) for id_, priority, at in rows}
