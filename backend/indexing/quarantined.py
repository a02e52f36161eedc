"""What an operator does with products in quarantine: try them again, or remove them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from functools import partial
from typing import Final, TypeVar

from sqlalchemy.orm import Session

from backend import generations, queue
from backend.catalogue import products
from backend.database.engine import Database
from backend.queue.progress import Quarantined, quarantine, quarantined_images

T = TypeVar("T")

CHUNK: Final = 1000
"""Products that one transaction requests or removes: a statement has a limit of parameters."""

ALL: Final = 10**9


def read(session: Session, *, limit: int, images: bool = True) -> list[Quarantined]:
    """Return what the active generation has in quarantine, in id order.

    With `images` also single images of products that are indexed by their others.
    """
    generation = generations.active_or_none(session)
    if generation is None:
        return []
    found = list(quarantine(session, generation.id, limit=limit))
    if images:
        found += quarantined_images(session, generation.id, limit=limit)
    return sorted(found, key=lambda row: (row.product_id, row.image or 0))[:limit]


def page(session: Session, generation_id: int, *, after_id: int, limit: int) -> list[Quarantined]:
    """Return whole products and single images of up to `limit` products, in id order."""
    found = [
        *quarantine(session, generation_id, after_id=after_id, limit=limit),
        *quarantined_images(session, generation_id, after_id=after_id, limit=limit),
    ]
    found.sort(key=lambda row: (row.product_id, row.image or 0))
    first = list(dict.fromkeys(row.product_id for row in found))[:limit]
    return [row for row in found if row.product_id in set(first)]


def choose(
    session: Session, skus: Collection[str] | None, *, images: bool = True
) -> tuple[list[Quarantined], list[str]]:
    """Return the rows of these skus, or all, and the skus that are not in quarantine."""
    rows = read(session, limit=ALL, images=images)
    if skus is None:
        return rows, []
    there = {row.sku for row in rows}
    chosen = [row for row in rows if row.sku in set(skus)]
    return chosen, [sku for sku in dict.fromkeys(skus) if sku not in there]


def retry(db: Database, rows: Sequence[Quarantined]) -> list[str]:
    """Request work on products, beginning with their images; return their skus."""
    for chunk in _split(list(dict.fromkeys(row.product_id for row in rows))):
        db.write(partial(queue.request, product_ids=chunk, image=True, priority=queue.SINGLE))
    return list(dict.fromkeys(row.sku for row in rows))


def discard(db: Database, rows: Sequence[Quarantined]) -> list[str]:
    """Remove products from the catalogue; return their skus."""
    skus = list(dict.fromkeys(row.sku for row in rows))
    for chunk in _split(skus):
        db.write(partial(products.remove, skus=chunk, priority=queue.SINGLE))
    return skus


def _split(items: list[T]) -> Iterator[list[T]]:
    for start in range(0, len(items), CHUNK):
        yield items[start : start + CHUNK]
