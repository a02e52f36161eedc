"""The state of products and of a generation, all derived from the entries' numbers."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, and_, case, func, select
from sqlalchemy.orm import Session

from backend.database.models import IndexEntry, Product, ProductImage


class State(StrEnum):
    """The state of a product, as the shop sees it."""

    PENDING = "pending"
    INDEXED = "indexed"
    QUARANTINED = "quarantined"


@dataclass(frozen=True, kw_only=True)
class Progress:
    """Counts of one generation: `products = pending + indexed + quarantined`."""

    products: int
    pending: int
    indexed: int
    quarantined: int
    removing: int  # removed products whose point still has to be deleted
    oldest_request: datetime | None  # of the other pending products: how old the index is
    awaited: int = 0  # of the pending ones: the image is not there yet, and is looked for again

    @property
    def at_rest(self) -> bool:
        """Whether nothing is left to do, except to look later for images that are still to come."""
        return self.pending == self.awaited and self.removing == 0


@dataclass(frozen=True)
class Quarantined:
    """A product that cannot be indexed as it is, or one image of a product, and why."""

    product_id: int
    sku: str
    reason: str
    failures: int
    image_uri: str | None
    image: int | None = None
    """The number of the image, from 1, where the product is indexed by its others."""


def state_column(entry: Any = IndexEntry) -> ColumnElement[str]:
    """Return the state as SQL, over products outer-joined with one generation's entries.

    `entry` holds the columns: the mapped class, or those of its table.
    """
    settled = and_(entry.product_id.is_not(None), entry.due_at.is_(None))
    is_awaited = entry.last_error.is_not(None) & entry.image_retry_at.is_not(None)
    return case(
        (and_(settled, is_awaited), State.PENDING.value),
        (and_(settled, entry.last_error.is_not(None)), State.QUARANTINED.value),
        (settled, State.INDEXED.value),
        else_=State.PENDING.value,
    )


def of_product(generation_id: int | None) -> ColumnElement[bool]:
    """Return the condition that joins a product with its entry; for generation None, with none."""
    return and_(
        IndexEntry.product_id == Product.id,
        IndexEntry.generation_id == (-1 if generation_id is None else generation_id),
    )


def is_in(wanted: Collection[str], generation_id: int | None) -> ColumnElement[bool]:
    """Return the condition that a product is in one of these states."""
    entry = select(state_column()).where(of_product(generation_id)).correlate(Product)
    return func.coalesce(entry.scalar_subquery(), State.PENDING.value).in_(wanted)


def progress(session: Session, generation_id: int | None) -> Progress:
    """Count the products by state; without a generation, all are pending."""
    state, removed = state_column(), Product.removed_at.is_not(None)
    is_awaited = and_(state == State.PENDING, IndexEntry.image_retry_at.is_not(None))
    is_waiting = and_(state == State.PENDING, IndexEntry.image_retry_at.is_(None))
    oldest = func.min(case((is_waiting, IndexEntry.requested_at)))
    awaited = func.count(case((and_(is_awaited, IndexEntry.due_at.is_(None)), 1)))
    rows = session.execute(
        select(removed, state, func.count(), oldest, awaited)
        .select_from(Product)
        .outerjoin(IndexEntry, of_product(generation_id))
        .where(~removed | IndexEntry.due_at.is_not(None))
        .group_by(removed, state)
    ).all()
    counts = {(bool(gone), State(name)): number for gone, name, number, _, _ in rows}
    waiting = [since for gone, _, _, since, _ in rows if since is not None and not gone]
    live = {name: counts.get((False, name), 0) for name in State}
    return Progress(
        products=sum(live.values()),
        pending=live[State.PENDING],
        indexed=live[State.INDEXED],
        quarantined=live[State.QUARANTINED],
        removing=sum(number for (gone, _), number in counts.items() if gone),
        oldest_request=min(waiting, default=None),
        awaited=sum(row[4] for row in rows if not row[0]),
    )


def count_points(session: Session, generation_id: int) -> int:
    """Count the points that SQL knows to be in a generation's index: one for each image."""
    points = func.count() + func.coalesce(func.sum(IndexEntry.more_points), 0)
    return session.scalar(select(points).where(*_is_indexed(generation_id))) or 0


def count_products(session: Session, generation_id: int) -> int:
    """Count the products that SQL knows to be in a generation's index."""
    return session.scalar(select(func.count()).where(*_is_indexed(generation_id))) or 0


def _is_indexed(generation_id: int) -> tuple[ColumnElement[bool], ...]:
    return IndexEntry.generation_id == generation_id, IndexEntry.indexed_claim.is_not(None)


def states(
    session: Session, generation_id: int | None, product_ids: Sequence[int]
) -> dict[int, tuple[State, str | None]]:
    """Return {product id: (state, why it is not indexed or None)}.

    A pending product has a reason if its last try failed, or its image is still to come; it is
    tried again.
    """
    rows = session.execute(
        select(Product.id, state_column(), IndexEntry.last_error)
        .outerjoin(IndexEntry, of_product(generation_id))
        .where(Product.id.in_(product_ids))
    )
    return {
        id_: (State(state), error if state != State.INDEXED else None) for id_, state, error in rows
    }


def image_errors(
    session: Session, generation_id: int | None, product_ids: Sequence[int]
) -> dict[int, dict[str, str]]:
    """Return {product id: {address of an image: why it has no point}}, of those that have any."""
    if generation_id is None or not product_ids:
        return {}
    rows = session.execute(
        select(IndexEntry.product_id, IndexEntry.image_errors).where(
            IndexEntry.generation_id == generation_id,
            IndexEntry.product_id.in_(product_ids),
            IndexEntry.image_errors.is_not(None),
        )
    )
    return {id_: errors or {} for id_, errors in rows}


def next_due(session: Session, generation_ids: Sequence[int]) -> datetime | None:
    """Return the time from which the next entry can be claimed; None where nothing is pending.

    It may be in the past, or the end of a lease or a back-off.
    """
    return session.scalar(
        select(func.min(IndexEntry.due_at)).where(IndexEntry.generation_id.in_(generation_ids))
    )


def quarantine(
    session: Session,
    generation_id: int,
    *,
    after_id: int = 0,
    limit: int = 100,
    awaited: bool = False,
) -> list[Quarantined]:
    """List quarantined products, or those whose image is still to come, in id order."""
    is_awaited = IndexEntry.image_retry_at.is_not(None)
    rows = session.execute(
        select(
            Product.id, Product.sku, IndexEntry.last_error, IndexEntry.failures, Product.image_uri
        )
        .join(IndexEntry, IndexEntry.product_id == Product.id)
        .where(*_at_rest(generation_id, after_id), IndexEntry.last_error.is_not(None))
        .where(is_awaited if awaited else ~is_awaited)
        .order_by(Product.id)
        .limit(limit)
    )
    return [
        Quarantined(id_, sku, reason or "", failures, uri)
        for id_, sku, reason, failures, uri in rows
    ]


def quarantined_images(
    session: Session, generation_id: int, *, after_id: int = 0, limit: int = 100
) -> list[Quarantined]:
    """List the quarantined images of up to `limit` products that are indexed by their others."""
    rows = session.execute(
        select(Product, IndexEntry.image_errors)
        .join(IndexEntry, IndexEntry.product_id == Product.id)
        .where(*_at_rest(generation_id, after_id), IndexEntry.last_error.is_(None))
        .where(IndexEntry.image_errors.is_not(None))
        .order_by(Product.id)
        .limit(limit)
    ).all()
    uris = _image_uris(session, [product for product, _ in rows])
    return [
        Quarantined(product.id, product.sku, reason, 0, uri, number)
        for product, errors in rows
        for number, uri in enumerate(uris[product.id], 1)
        if (reason := (errors or {}).get(uri))
    ]


def _at_rest(generation_id: int, after_id: int) -> tuple[ColumnElement[bool], ...]:
    return (
        IndexEntry.generation_id == generation_id,
        IndexEntry.due_at.is_(None),
        Product.removed_at.is_(None),
        Product.id > after_id,
    )


def _image_uris(session: Session, products: Sequence[Product]) -> dict[int, list[str]]:
    """Return the addresses of all images of each product, in order."""
    found = {product.id: [product.image_uri or ""] for product in products}
    rows = session.execute(
        select(ProductImage.product_id, ProductImage.uri)
        .where(ProductImage.product_id.in_(found))
        .order_by(ProductImage.product_id, ProductImage.position)
    )
    for product_id, uri in rows:
        found[product_id].append(uri)
    return found
