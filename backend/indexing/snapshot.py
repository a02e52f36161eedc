"""What a generation's index should hold, read from SQL: vectors, payloads and claims.

Each page is read in its own transaction, so that no writer waits. So the pages are not from one
moment: before the new shard is used, claims are compared and what differs is copied.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, TypeAlias

import structlog
from sqlalchemy import Row, Select, select
from sqlalchemy.orm import Session

from backend.catalogue import image_vectors
from backend.catalogue.image_vectors import unpack
from backend.database.engine import Database
from backend.database.models import Generation, ImageVector, IndexEntry, Product
from backend.errors import InvalidProduct, InvalidVector
from backend.filters import Schema
from backend.indexing import payload
from backend.vectors import Point
from backend.vectors.image_points import point_id
from backend.vectors.points import check_points

log = structlog.get_logger(__name__)

PAGE: Final = 1000

PageRow: TypeAlias = Row[Product, int | None, bytes, list[str] | None]
"""A product, the claim of its points, the vector of the first, and the images of the others."""


def snapshot(db: Database, generation: Generation, schema: Schema) -> Iterator[list[Point]]:
    """Yield a generation's points, page by page; what an index refuses is left out."""
    after = -1
    while True:
        with db.read() as session:
            rows = session.execute(_page(generation, after)).all()
        if not rows:
            return
        after = rows[-1][0].id
        with db.read() as session:
            points = _points(session, generation, rows)
        yield _acceptable(points, size=generation.size, schema=schema)


def _points(session: Session, generation: Generation, rows: Sequence[PageRow]) -> list[Point]:
    """Return the points of these products: the first of each, and those of further images."""
    digests = {digest for row in rows for digest in row[3] or ()}
    vectors = image_vectors.load(session, generation.fingerprint, digests) if digests else {}
    points = []
    for product, claim, first, more in rows:
        of_product = {0: unpack(first)}
        of_product |= {at: vectors[it] for at, it in enumerate(more or (), 1) if it in vectors}
        for slot, vector in of_product.items():
            of_slot, id_ = payload(product, slot=slot), point_id(product.id, slot)
            points.append(Point(id=id_, vector=vector, payload=of_slot, claim=claim or 0))
    return points


def _page(
    generation: Generation, after: int
) -> Select[Product, int | None, bytes, list[str] | None]:
    return (
        select(Product, IndexEntry.indexed_claim, ImageVector.vector, IndexEntry.more_digests)
        .join(IndexEntry, IndexEntry.product_id == Product.id)
        .join(ImageVector, ImageVector.image_digest == IndexEntry.embedded_digest)
        .where(
            IndexEntry.generation_id == generation.id,
            IndexEntry.product_id > after,
            IndexEntry.indexed_claim.is_not(None),
            ImageVector.fingerprint == generation.fingerprint,
            Product.removed_at.is_(None),
        )
        .order_by(IndexEntry.product_id)
        .limit(PAGE)
    )


def _acceptable(points: Sequence[Point], *, size: int, schema: Schema) -> list[Point]:
    """Leave out points that an index refuses, such as quarantined ones.

    If the shard in use holds an older version of such a point, that version is copied later.
    """
    try:
        return check_points(points, size=size, schema=schema)
    except (InvalidVector, InvalidProduct) as error:
        refused = set(error.context["ids"])
        log.warning("points are left out of the build", count=len(refused), error=error.message)
        return _acceptable([it for it in points if it.id not in refused], size=size, schema=schema)
