"""Take products down at once: what their rows hold, their points, image files and vectors.

The rows stay, blank and removed, as after every removal: their claims go on rising, so that a late
worker's point is deleted again by the queue.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any, Final

from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session

from backend import queue
from backend.catalogue import image_vectors, named_images, product_images, unnamed_images
from backend.catalogue.merge import BLANK, PAYLOAD
from backend.catalogue.product_images import Images
from backend.catalogue.products import possible_skus
from backend.catalogue.save_products import PRODUCTS
from backend.database.engine import Database
from backend.database.models import Event, Generation, IndexEntry, Product, utcnow
from backend.errors import IndexUnavailable
from backend.images.store import SCHEME, ImageStore
from backend.jobs import Report
from backend.vectors import VectorIndex
from backend.vectors.image_points import MOST_IMAGES, point_ids

CHUNK: Final = 100
"""Products of one transaction."""

MOST_LISTED: Final = 20
"""Skus that are listed of those that share one content."""


@dataclass(kw_only=True)
class Purged:
    """What a purge removed, and what it left."""

    products: int = 0  # that still held anything
    points: int = 0  # in all indexes
    images: int = 0  # files in the store
    bytes: int = 0
    vectors: int = 0
    unknown: list[str] = field(default_factory=list)  # skus that no product ever had
    kept: list[dict[str, Any]] = field(default_factory=list)  # contents that others name too
    emptied: list[str] = field(default_factory=list)  # skus of others that lost a content
    elsewhere: list[dict[str, str]] = field(default_factory=list)  # images outside the store
    points_later: bool = False  # an index did not answer: the queue will delete its points

    def add(self, other: Purged) -> None:
        """Add what another part of the purge removed."""
        for name, value in vars(other).items():
            setattr(self, name, getattr(self, name) + value)


def purge(
    db: Database,
    store: ImageStore,
    live: Sequence[Generation],
    *,
    index_of: Callable[[Generation], VectorIndex],
    skus: Sequence[str],
    everywhere: bool = False,
    report: Report = lambda _done, _total: None,
) -> dict[str, Any]:
    """Remove products and what they showed; return as JSON what was removed.

    A content that another product names too is kept and listed, unless `everywhere`: then the
    others lose it. It can be repeated: a second time there is nothing to remove. Raises
    ImageUnavailable if the store fails; the files that are left are deleted in the background.
    """
    done = Purged()
    for start in range(0, len(skus), CHUNK):
        some = skus[start : start + CHUNK]
        cut, claims = db.write(partial(_cut_off, skus=some, everywhere=everywhere))
        done.add(cut)
        for generation in live:
            done.points_later |= not _delete_points(index_of, generation, claims)
        images, size = unnamed_images.delete_marked(db, store)
        done.add(Purged(images=images, bytes=size))
        report(min(start + CHUNK, len(skus)), len(skus))
    return asdict(done)


Claims = Mapping[int, Mapping[int, int]]
"""Generation -> {id of a point: claim}: points up to this claim are deleted."""


def _cut_off(session: Session, *, skus: Sequence[str], everywhere: bool) -> tuple[Purged, Claims]:
    """Blank the products, and mark the contents for deletion that no other product names."""
    rows = session.scalars(
        select(Product)
        .where(Product.sku.in_(possible_skus(skus)))
        .order_by(Product.id)
        .with_for_update(key_share=True)
    ).all()
    ids = [row.id for row in rows]
    known = {row.sku for row in rows}
    images = product_images.load_all(session, rows)
    done = Purged(
        products=sum(_holds_something(row, images[row.id]) for row in rows),
        unknown=[sku for sku in skus if not known & set(possible_skus([sku]))],
        elsewhere=[
            {"sku": row.sku, "uri": image.uri}
            for row in rows
            for image in images[row.id]
            if image.uri and not image.uri.startswith(f"{SCHEME}://")
        ],
    )
    contents = named_images.contents_of(session, ids)
    shared = named_images.named_by_others(session, contents, ids)
    if everywhere:
        done.emptied = _take_from_others(session, shared)
    else:
        contents -= shared.keys()
        done.kept = [_described(digest, others) for digest, others in sorted(shared.items())]
    done.points = _blank(session, ids)
    done.vectors = image_vectors.delete_of(session, contents)
    unnamed_images.mark_for_deletion(session, contents)
    return done, _claims(session, ids)


def _holds_something(row: Product, images: Images) -> bool:
    fields = any(getattr(row, name) != BLANK[name] for name in PAYLOAD)
    return row.removed_at is None or bool(images) or fields


def _described(digest: str, others: Mapping[int, str]) -> dict[str, Any]:
    skus = sorted(others.values())
    return {"digest": digest, "products": len(skus), "skus": skus[:MOST_LISTED]}


def _take_from_others(session: Session, shared: Mapping[str, Mapping[int, str]]) -> list[str]:
    """Take contents away from other products, which stay; return their skus."""
    others = {id_: sku for names in shared.values() for id_, sku in names.items()}
    named_images.take_away(session, sorted(others), shared.keys())
    queue.request_anew(session, sorted(others), priority=queue.SINGLE)
    return sorted(others.values())


def _blank(session: Session, ids: Sequence[int]) -> int:
    """Remove products and all that their rows hold; return how many points they have."""
    has_points = (IndexEntry.product_id.in_(ids), IndexEntry.indexed_claim > 0)
    count = func.count() + func.coalesce(func.sum(IndexEntry.more_points), 0)
    points = session.scalar(select(count).where(*has_points)) or 0
    now = utcnow()
    blank = {name: BLANK[name] for name in PAYLOAD} | product_images.columns_of(())
    removed = blank | {"removed_at": now, "updated_at": now}
    session.execute(update(PRODUCTS).where(PRODUCTS.c.id.in_(ids)).values(removed))
    product_images.replace_further(session, dict.fromkeys(ids, ()))
    session.execute(delete(Event).where(Event.product_id.in_(ids)))
    queue.request_removal(session, ids, priority=queue.SINGLE, forget=True)
    return points


def _claims(session: Session, ids: Collection[int]) -> Claims:
    found: dict[int, dict[int, int]] = {}
    rows = session.execute(
        select(IndexEntry.generation_id, IndexEntry.product_id, IndexEntry.claim).where(
            IndexEntry.product_id.in_(ids)
        )
    )
    for generation_id, product_id, claim in rows:
        every = dict.fromkeys(point_ids([product_id], MOST_IMAGES), claim)
        found.setdefault(generation_id, {}).update(every)
    return found


def _delete_points(
    index_of: Callable[[Generation], VectorIndex], generation: Generation, claims: Claims
) -> bool:
    """Delete points now, not when the queue comes to it; tell whether the index answered."""
    try:
        index_of(generation).delete(claims.get(generation.id, {}))
    except IndexUnavailable:
        return False
    return True
