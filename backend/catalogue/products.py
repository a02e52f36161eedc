"""Products: save, patch, remove, get. REST and import use the same functions.

Every function works inside the caller's transaction. It also asks the queue, in that transaction,
for the work that its change makes necessary.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, select, update
from sqlalchemy.orm import Session

from backend import queue
from backend.catalogue import ordered_products
from backend.catalogue.draft_images import NO_IMAGE, ImageRef
from backend.catalogue.drafts import FIELDS, Draft, parse
from backend.catalogue.ordered_products import Place
from backend.catalogue.save_products import PRODUCTS, Outcome, Saved, save
from backend.catalogue.skus import is_sku, normalise
from backend.database.models import Product, ProductImage, utcnow
from backend.errors import InvalidProduct, UnknownProduct
from backend.filters import Where

__all__ = [
    "FIELDS",
    "NO_IMAGE",
    "Draft",
    "ImageRef",
    "Outcome",
    "Saved",
    "edit",
    "get",
    "image_uris",
    "lock",
    "named",
    "page",
    "parse",
    "patch",
    "possible_skus",
    "remove",
    "save",
    "set_image",
    "set_images",
    "unknown_product",
]


def patch(session: Session, sku: str, changes: Mapping[str, Any], *, priority: int) -> Product:
    """Change the named fields, and merge the attributes; an attribute of None is dropped.

    Raises UnknownProduct, and InvalidProduct as `parse` does.
    """
    return edit(session, parse({**changes, "sku": sku}), priority=priority)


def set_images(session: Session, sku: str, images: Sequence[ImageRef], *, priority: int) -> Product:
    """Give a product these images, in this order. Raises UnknownProduct."""
    return edit(session, Draft(sku=sku, values={}, images=images), priority=priority)


def set_image(session: Session, sku: str, image: ImageRef, *, priority: int) -> Product:
    """Give a product another first image, or remove it (NO_IMAGE). Raises UnknownProduct."""
    return edit(session, Draft(sku=sku, values={}, image=image), priority=priority)


def remove(session: Session, skus: Sequence[str], *, priority: int) -> tuple[int, ...]:
    """Mark products as removed and return their ids; their rows stay.

    A sku that is unknown, or removed already, is skipped.
    """
    there = (
        select(Product.id)
        .where(Product.sku.in_(possible_skus(skus)), Product.removed_at.is_(None))
        .order_by(Product.id)
        .with_for_update(key_share=True)
    )
    ids = tuple(session.scalars(there))
    if ids:
        now = utcnow()
        session.execute(
            update(PRODUCTS).where(PRODUCTS.c.id.in_(ids)).values(removed_at=now, updated_at=now)
        )
        queue.request_removal(session, ids, priority=priority)
    return ids


def image_uris(session: Session, skus: Sequence[str]) -> dict[str, set[str]]:
    """Return the addresses of the stored images of each sku; a removed product has none."""
    rows = session.execute(
        select(Product.sku, Product.image_uri, ProductImage.uri)
        .outerjoin(ProductImage, ProductImage.product_id == Product.id)
        .where(Product.sku.in_(skus), Product.removed_at.is_(None))
    )
    found: dict[str, set[str]] = {sku: set() for sku in skus}
    for sku, *uris in rows:
        found[sku].update(uri for uri in uris if uri is not None)
    return found


def get(session: Session, sku: str) -> Product:
    """Return a product by its sku. Raises UnknownProduct, for a removed one too."""
    wanted = select(Product).where(
        Product.sku.in_(possible_skus([sku])), Product.removed_at.is_(None)
    )
    product = session.scalar(wanted, execution_options={"populate_existing": True})
    if product is None:
        raise unknown_product(sku)
    return product


def named(session: Session, skus: Sequence[str], *, lock: bool = False) -> list[Product]:
    """Return the products that have one of these skus, in id order.

    With `lock`, no other writer changes them until the transaction ends.
    """
    wanted = select(Product).where(
        Product.sku.in_(possible_skus(skus)), Product.removed_at.is_(None)
    )
    if lock:
        wanted = wanted.with_for_update(key_share=True)
    return list(session.scalars(wanted.order_by(Product.id)))


def refuse_rejected(saved: Saved) -> None:
    """Raise InvalidProduct if a draft was rejected: another writer may have changed the row."""
    for reason in saved.reasons.values():
        name, _, why = reason.partition(": ")
        raise InvalidProduct(reason, errors=[{"field": name, "reason": why}])


def page(
    session: Session,
    *,
    limit: int,
    after_id: int = 0,
    where: Where | None = None,
    also: Sequence[ColumnElement[bool]] = (),
) -> Sequence[Product]:
    """Return up to `limit` products with a greater id than `after_id`, in id order.

    Raises InvalidFilter for a field or value in `where` that cannot be compared.
    """
    after = Place(id=after_id)
    return ordered_products.page(session, limit=limit, after=after, where=where, also=also)


def possible_skus(skus: Sequence[str]) -> list[str]:
    """Return the skus that a product can have, as they are stored."""
    return [sku for sku in map(normalise, skus) if is_sku(sku)]


def edit(session: Session, draft: Draft, *, priority: int) -> Product:
    """Lay a draft over a product. Raises UnknownProduct, and InvalidProduct if it is rejected."""
    lock(session, draft.sku)
    refuse_rejected(save(session, [draft], priority=priority, complete=False))
    return get(session, draft.sku)


def unknown_product(sku: str) -> UnknownProduct:
    """Return the error of a sku that no product has."""
    return UnknownProduct(f"there is no product with the sku {sku!r}", sku=sku)


def lock(session: Session, sku: str) -> None:
    """Let no other writer change a product until the transaction ends. Raises UnknownProduct."""
    locked = select(Product.id).where(
        Product.sku.in_(possible_skus([sku])), Product.removed_at.is_(None)
    )
    if session.scalar(locked.with_for_update(key_share=True)) is None:
        raise unknown_product(sku)
