"""Ask for work: every live generation shall take in what has changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Select, bindparam, case, literal, null, select, true, update
from sqlalchemy.orm import Session

from backend.database import locks
from backend.database.locks import Lock
from backend.database.models import LIVE, Generation, Product, utcnow
from backend.queue.entries import (
    Claimed,
    Entry,
    insert_entries,
    update_and_count,
    update_claimed,
)


def request(
    session: Session,
    product_ids: Sequence[int],
    *,
    image: bool,
    priority: int,
    now: datetime | None = None,
) -> None:
    """Ask every live generation to take in a changed payload, or a changed image.

    Call it in the transaction that changes the products. Only a changed image resets the failures.
    A payload change opens no image: it skips the embed stage where the vector is current, and
    elsewhere leaves that stage's schedule (a lease, a back-off, the quarantine) alone.
    """
    now = now or utcnow()
    changes = once_more(now)
    if image:
        changes = {
            "wanted": Entry.wanted + 1,
            "due_at": now,
            "failures": 0,
            "last_error": null(),
        }
    _upsert_entries(session, product_ids, changes, priority=priority, now=now)


def request_removal(
    session: Session, product_ids: Sequence[int], *, priority: int, now: datetime | None = None
) -> None:
    """Ask every live generation to delete the points of removed products. No image is opened."""
    now = now or utcnow()
    changes = {
        "wanted": Entry.wanted + 1,
        "embedded": Entry.wanted + 1,
        "due_at": now,
        "failures": 0,
        "last_error": null(),
    }
    _upsert_entries(session, product_ids, changes, priority=priority, now=now, embedded=1)


def request_again(
    session: Session,
    generation_id: int,
    claims: Mapping[int, int],
    *,
    now: datetime | None = None,
) -> int:
    """Ask one generation to write points anew from the vectors it has; return how many rows.

    No image is opened. `claims` is {product id: claim found in the index, or 0}. The next claim
    will be greater than that, even where the database is an old backup with smaller numbers.
    """
    rows = [Claimed(id_, found, 0, 0, None) for id_, found in claims.items()]
    newest = case((Entry.claim < bindparam("b_claim"), bindparam("b_claim")), else_=Entry.claim)
    values = once_more(now or utcnow()) | {"claim": newest}
    return update_claimed(session, generation_id, rows, values, whose=true())


def forget_points(session: Session, *, now: datetime | None = None) -> int:
    """Ask for every point anew, where the indexes are gone; return how many. Opens no image."""
    lost = update(Entry).where(Entry.indexed_claim.is_not(None))
    values = once_more(now or utcnow()) | {"indexed_claim": null()}
    return update_and_count(session, lost.values(values))


def once_more(now: datetime) -> dict[str, Any]:
    """Return the changes that ask for a row's point again, without opening its image."""
    waits_for_image = Entry.embedded < Entry.wanted
    return _waiting_since(now) | {
        "wanted": Entry.wanted + 1,
        "embedded": case((waits_for_image, Entry.embedded), else_=Entry.wanted + 1),
        "due_at": case((waits_for_image, Entry.due_at), else_=now),
    }


def _waiting_since(now: datetime) -> dict[str, Any]:
    """Return the change that notes since when a row waits: an idle row begins to wait now."""
    return {"requested_at": case((Entry.due_at.is_(None), now), else_=Entry.requested_at)}


def _upsert_entries(
    session: Session,
    product_ids: Sequence[int],
    changes: dict[str, Any],
    *,
    priority: int,
    now: datetime,
    embedded: int = 0,
) -> None:
    """Change the entries of these products in every live generation; insert those that lack.

    A row that waits already keeps its priority where that is more urgent.
    """
    if not product_ids:
        return
    locks.share(session, Lock.GENERATIONS)  # none may start before this transaction ends
    pairs = (
        _new_entries(Generation.id, priority, now, embedded=embedded)
        .join(Generation, Generation.state.in_(LIVE))
        .where(Product.id.in_(product_ids))
        .order_by(Generation.id, Product.id)
    )
    idle = Entry.due_at.is_(None)
    changes |= _waiting_since(now) | {
        "priority": case((idle | (Entry.priority > priority), priority), else_=Entry.priority),
    }
    session.execute(insert_entries(session, pairs, changes))


def _new_entries(
    generation_id: Any, priority: int, now: datetime, *, embedded: int = 0
) -> Select[Any]:
    """Select a new entry for every product, in the order of `NEW_ENTRY`."""
    moment = literal(now, Entry.due_at.type)
    zero = literal(0)
    numbers = (literal(1), literal(embedded), zero, zero, zero, literal(priority))
    return select(generation_id, Product.id, *numbers, moment, moment).select_from(Product)
