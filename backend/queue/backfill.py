"""The entries of a whole generation: made for products that have none, and deleted with it."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final, cast

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
from backend.queue.entries import IMPORT, NEW_ENTRY, REINDEX, insert_entries


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
    rows = (
        _known_entries(generation, clock.now(session))
        .where(which, Product.removed_at.is_(None))
        .order_by(Product.id)
    )
    session.execute(insert_entries(session, rows, None, columns=_KNOWN_ENTRY))


_KNOWN_ENTRY: Final = [
    *NEW_ENTRY,
    *("embedded_digest", "last_error", "more_digests", "more_points", "image_errors"),
    *("image_awaited_since", "image_retry_at"),
]


def _known_entries(generation: Generation, now: datetime) -> Select[Any]:
    """Select an entry for every product, in the order of `_KNOWN_ENTRY`."""
    sibling, older = aliased(Entry), aliased(Generation)
    same_embedder = select(older.id).where(
        older.state == ACTIVE,
        older.id != generation.id,
        older.fingerprint == generation.fingerprint,
    )
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
    moment = literal(now, Entry.due_at.type)
    zero = literal(0)
    priority = literal(REINDEX if generation.state == BUILDING else IMPORT)
    return (
        select(
            literal(generation.id),
            Product.id,
            literal(1),
            case((digest.is_not(None), 1), else_=0),
            zero,
            zero,
            case((has_failed, sibling.failures), else_=0),
            priority,
            moment,
            case((and_(has_failed, digest.is_(None)), null()), else_=moment),
            digest,
            case((has_failed, sibling.last_error), else_=null()),
            case((has_failed, sibling.more_digests), else_=null()),
            case((has_failed, sibling.more_points), else_=null()),
            case((has_failed, sibling.image_errors), else_=null()),
            case((has_failed, sibling.image_awaited_since), else_=null()),
            case((has_failed, sibling.image_retry_at), else_=null()),
        )
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
            and_(sibling.product_id == Product.id, sibling.generation_id.in_(same_embedder)),
        )
    )


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
