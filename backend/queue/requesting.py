"""Request work: every live generation must index what has changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import bindparam, case, literal, null, select, true, update
from sqlalchemy.orm import Session

from backend.database import clock, locks
from backend.database.locks import Lock
from backend.database.many_rows import is_among
from backend.database.models import LIVE, Generation, Product
from backend.queue.entries import (
    NOT_AWAITED,
    Claimed,
    Entry,
    insert_entries,
    update_and_count,
    update_claimed,
)

FORMER_LIFE: Final = 0
"""The `indexed_claim` of a product that began anew: a point that is still there is an older one."""


def request(
    session: Session,
    product_ids: Sequence[int],
    *,
    image: bool,
    priority: int,
    now: datetime | None = None,
) -> None:
    """Request that every live generation indexes a changed payload, or a changed image.

    Call it in the transaction that changes the products. Only a changed image resets the failures.
    For a changed payload no image is opened: the embed stage is skipped where the vector is
    current; elsewhere its schedule (a lease, a back-off, the quarantine) does not change.
    """
    if not product_ids:
        return
    now = now or clock.now(session)
    changes = _changes_to_embed(now) if image else changes_to_reapply(now)
    upsert_entries(session, product_ids, changes, priority=priority, now=now)


def request_anew(
    session: Session, product_ids: Sequence[int], *, priority: int, now: datetime | None = None
) -> None:
    """Request products that begin anew: nothing that was embedded or indexed before is theirs.

    Every claim made before ends, so that a late worker cannot record what it embedded. Claims go
    on rising, so that its points are older than theirs. A point that is still there is not shown.
    """
    if not product_ids:
        return
    now = now or clock.now(session)
    changes = _changes_to_embed(now) | {
        "claim": Entry.claim + 1,
        "embedded_digest": null(),
        "more_digests": null(),
        "indexed_claim": FORMER_LIFE,
    }
    upsert_entries(session, product_ids, changes, priority=priority, now=now)


def request_removal(
    session: Session,
    product_ids: Sequence[int],
    *,
    priority: int,
    forget: bool = False,
    now: datetime | None = None,
) -> None:
    """Request that every live generation deletes the points of removed products.

    With `forget`, what was embedded is forgotten now, and every claim made before ends.
    """
    if not product_ids:
        return
    now = now or clock.now(session)
    changes = {
        "wanted": Entry.wanted + 1,
        "embedded": Entry.wanted + 1,
        "due_at": now,
        "failures": 0,
        "last_error": null(),
        "image_errors": null(),
        **NOT_AWAITED,
    }
    if forget:
        nothing = {"embedded_digest": null(), "more_digests": null()}
        changes |= {"claim": Entry.claim + 1, **nothing}
    upsert_entries(session, product_ids, changes, priority=priority, now=now, embedded=1)


def request_again(
    session: Session,
    generation_id: int,
    claims: Mapping[int, int],
    *,
    now: datetime | None = None,
) -> int:
    """Request that one generation writes points again, from stored vectors; return how many rows.

    `claims` is {product id: claim found in the index, or 0}. The next claim will be greater than
    that, even if the database is an old backup with smaller numbers.
    """
    rows = [Claimed(id_, found, 0, 0, None) for id_, found in claims.items()]
    newest = case((Entry.claim < bindparam("b_claim"), bindparam("b_claim")), else_=Entry.claim)
    values = changes_to_reapply(now or clock.now(session)) | {"claim": newest}
    return update_claimed(session, generation_id, rows, values, where=true())


def is_awaited_due(session: Session, generation_id: int, *, now: datetime | None = None) -> bool:
    """Tell whether `wake_awaited` would find a row; takes no lock."""
    due = select(Entry.product_id).where(
        Entry.generation_id == generation_id, Entry.image_retry_at <= (now or clock.now(session))
    )
    return session.scalar(due.limit(1)) is not None


def wake_awaited(
    session: Session, generation_id: int, *, limit: int = 1000, now: datetime | None = None
) -> int:
    """Request again images that were not there, where it is time to look; return how many."""
    now = now or clock.now(session)
    due = (
        select(Entry.product_id)
        .where(Entry.generation_id == generation_id, Entry.image_retry_at <= now)
        .order_by(Entry.image_retry_at, Entry.product_id)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    woken = (
        update(Entry)
        .where(Entry.generation_id == generation_id)
        .where(Entry.product_id.in_(select(due.cte("due").c.product_id)))
    )
    changes = _waiting_since(now) | {
        "wanted": Entry.wanted + 1,
        "due_at": now,
        "failures": 0,
        "last_error": null(),
        "image_retry_at": null(),
    }
    rows = session.execute(
        woken.values(changes).returning(Entry.product_id),
        execution_options={"synchronize_session": False},
    )
    return len(rows.all())


def forget_points(session: Session, *, now: datetime | None = None) -> int:
    """Request every point again, from stored vectors, because all indexes are gone; count them."""
    lost = update(Entry).where(Entry.indexed_claim.is_not(None))
    values = changes_to_reapply(now or clock.now(session)) | {"indexed_claim": null()}
    return update_and_count(session, lost.values(values))


def changes_to_reapply(now: datetime) -> dict[str, Any]:
    """Return the changes that request a row's point again, without opening its image."""
    waits_for_image = Entry.embedded < Entry.wanted
    return _waiting_since(now) | {
        "wanted": Entry.wanted + 1,
        "embedded": case((waits_for_image, Entry.embedded), else_=Entry.wanted + 1),
        "due_at": case((waits_for_image, Entry.due_at), else_=now),
    }


def _changes_to_embed(now: datetime) -> dict[str, Any]:
    """Return the changes that request a row's image, whatever became of the one before."""
    return {
        "wanted": Entry.wanted + 1,
        "due_at": now,
        "failures": 0,
        "last_error": null(),
        "image_errors": null(),
        **NOT_AWAITED,
    }


def _waiting_since(now: datetime) -> dict[str, Any]:
    """Return the change of `requested_at`: an idle row begins to wait now."""
    return {"requested_at": case((Entry.due_at.is_(None), now), else_=Entry.requested_at)}


def upsert_entries(
    session: Session,
    product_ids: Sequence[int],
    changes: dict[str, Any],
    *,
    priority: int,
    now: datetime,
    embedded: int = 0,
) -> None:
    """Change the entries of these products in every live generation; insert missing ones.

    A row that waits already keeps its priority if that is more urgent.
    """
    locks.share(session, Lock.GENERATIONS)  # no generation may start before this transaction ends
    moment, zero = literal(now, Entry.due_at.type), literal(0)
    columns: list[Any] = [Generation.id, Product.id, literal(1), literal(embedded), zero, zero]
    columns += [zero, literal(priority), moment, moment]  # in the order of NEW_ENTRY
    rows = (
        select(*columns)
        .select_from(Product)
        .join(Generation, Generation.state.in_(LIVE))
        .where(is_among(session, Product.id, product_ids))
        .order_by(Generation.id, Product.id)
    )
    idle = Entry.due_at.is_(None)
    changes |= _waiting_since(now) | {
        "priority": case((idle | (Entry.priority > priority), priority), else_=Entry.priority),
    }
    session.execute(insert_entries(session, rows, changes))
