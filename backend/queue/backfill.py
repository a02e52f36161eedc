"""The entries of a whole generation: made for products that have none, and deleted with it."""

from __future__ import annotations

from datetime import datetime
from typing import Any, cast

from sqlalchemy import (
    ColumnElement,
    CursorResult,
    Select,
    and_,
    case,
    delete,
    func,
    literal,
    null,
    select,
)
from sqlalchemy.orm import Session, aliased

from backend.database import clock
from backend.database.models import ACTIVE, BUILDING, Generation, ImageVector, Product
from backend.database.models import IndexEntry as Entry
from backend.queue.entries import IMPORT, REINDEX, insert_entries


def backfill(session: Session, generation_id: int, *, after: int, limit: int) -> int | None:
    """Give a range of products entries in a generation; return the last id, None at the end."""
    ids = select(Product.id).where(Product.id > after).order_by(Product.id).limit(limit)
    last: int | None = session.scalar(select(func.max(ids.subquery().c.id)))
    if last is not None:
        insert_missing(session, generation_id, and_(Product.id > after, Product.id <= last))
    return last


def insert_missing(session: Session, generation_id: int, which: ColumnElement[bool]) -> None:
    """Give products an entry in one generation; existing entries do not change.

    Removed products get none. An entry whose vector is stored skips the embed stage; with several
    images it does not, since that stage finds which of the vectors are stored. An entry that the
    active generation has quarantined with the same embedder is quarantined here too, with the
    last good vectors if there are any. Entries of a re-index have the lowest priority.
    """
    generation = session.get_one(Generation, generation_id)
    entries, columns = _known_entries(generation, clock.now(session))
    rows = entries.where(which, Product.removed_at.is_(None)).order_by(Product.id)
    session.execute(insert_entries(session, rows, None, columns=columns))


def _known_entries(generation: Generation, now: datetime) -> tuple[Select[Any], list[str]]:
    """Select an entry for every product; return the names of its columns too."""
    sibling = aliased(Entry)
    columns = _known_entry(generation, sibling, literal(now, Entry.due_at.type))
    rows = (
        select(*columns.values())
        .select_from(Product)
        .outerjoin(
            ImageVector,
            and_(
                ImageVector.image_digest == Product.image_digest,
                ImageVector.fingerprint == generation.fingerprint,
            ),
        )
        .outerjoin(
            sibling,
            and_(
                sibling.product_id == Product.id,
                sibling.generation_id.in_(_active_with_same_embedder(generation)),
            ),
        )
    )
    return rows, [*columns]


def _active_with_same_embedder(generation: Generation) -> Select[int]:
    older = aliased(Generation)
    return select(older.id).where(
        older.state == ACTIVE,
        older.id != generation.id,
        older.fingerprint == generation.fingerprint,
    )


def _known_entry(
    generation: Generation, sibling: type[Entry], now: ColumnElement[datetime]
) -> dict[str, ColumnElement[Any]]:
    """Return the columns of a new entry; `sibling` is the product's in the active generation."""
    has_failed = and_(
        sibling.last_error.is_not(None),
        sibling.due_at.is_(None),
        sibling.failures > 0,  # the image failed, not the index
    )
    digest = case(
        (has_failed, sibling.embedded_digest),
        (Product.more_images.is_not(None), null()),
        else_=ImageVector.image_digest,
    )
    taken_over = (
        *("last_error", "more_digests", "more_points", "image_errors"),
        *("image_awaited_since", "image_retry_at"),
    )
    return {
        "generation_id": literal(generation.id),
        "product_id": cast("ColumnElement[int]", Product.id),
        "wanted": literal(1),
        "embedded": case((digest.is_not(None), 1), else_=0),
        "indexed": literal(0),
        "claim": literal(0),
        "failures": case((has_failed, sibling.failures), else_=0),
        "priority": literal(REINDEX if generation.state == BUILDING else IMPORT),
        "requested_at": now,
        "due_at": case((and_(has_failed, digest.is_(None)), null()), else_=now),
        "embedded_digest": digest,
        **{name: case((has_failed, getattr(sibling, name)), else_=null()) for name in taken_over},
    }


def forget(session: Session, generation_id: int, *, limit: int) -> int:
    """Delete up to `limit` entries of a generation that is dropped; return how many."""
    some = (
        select(Entry.product_id)
        .where(Entry.generation_id == generation_id)
        .order_by(Entry.product_id)
        .limit(limit)
    )
    gone = delete(Entry).where(Entry.generation_id == generation_id, Entry.product_id.in_(some))
    result = session.execute(gone, execution_options={"synchronize_session": False})
    return cast("CursorResult[Any]", result).rowcount
