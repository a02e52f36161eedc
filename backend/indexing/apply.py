"""The second stage: points of embedded rows are written to the index, or deleted from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta

import structlog
from sqlalchemy import select
from sqlalchemy.orm import Session

from backend import queue
from backend.catalogue import image_vectors
from backend.database import clock
from backend.database.engine import Database
from backend.database.models import ACTIVE, Generation, Product
from backend.errors import (
    IndexRefused,
    IndexUnavailable,
    InvalidProduct,
    InvalidVector,
)
from backend.indexing.payload import payload
from backend.indexing.refusals import upsert_apart
from backend.metrics.instruments import count_searchable
from backend.outages import Outages
from backend.queue import Claimed, Stage, Unreturned, waiting
from backend.vectors import Point, Vector, VectorIndex
from backend.vectors.image_points import point_id, point_ids, product_of

log = structlog.get_logger(__name__)

APPLY_BATCH = 256
RETRY_AFTER = timedelta(seconds=5)
LONGEST_SECONDS = 2.0
"""The longest pause between two tries of an index that does not answer. It is short, because
shoppers see old prices until the next try after the index is back."""


def apply_pending(
    db: Database,
    generation: Generation,
    index: VectorIndex,
    *,
    lease: timedelta,
    limit: int = APPLY_BATCH,
    outages: Outages | None = None,
    unreturned: Unreturned | None = None,
) -> int:
    """Claim embedded rows and write them to the index; return how many rows were claimed.

    When the index does not answer, the rows wait with that reason and IndexUnavailable is raised;
    with `outages`, none are claimed until it is time to try again. A point that the index refuses
    is quarantined with its reason. Where the database fails, `unreturned` keeps the claim, to be
    given back.
    """
    outages, what = outages or Outages(), f"index of generation {generation.id}"
    unreturned = unreturned or Unreturned()
    with db.read() as session:
        if not queue.is_due(session, generation.id, Stage.APPLY):
            return 0
    if not outages.may_try(what):
        return 0
    claimed: list[Claimed] = []

    def claim(session: Session) -> None:
        claimed[:] = queue.claim(session, generation.id, Stage.APPLY, limit=limit, lease=lease)

    def give_back(session: Session) -> None:
        queue.postpone_apply(session, generation.id, claimed, queue.DATABASE_FAILED, timedelta())

    with unreturned.kept(give_back):
        db.write(claim)
        if claimed:
            _apply_or_postpone(db, generation, index, claimed, outages, what)
    return len(claimed)


def _apply_or_postpone(
    db: Database,
    generation: Generation,
    index: VectorIndex,
    claimed: Sequence[Claimed],
    outages: Outages,
    what: str,
) -> None:
    try:
        _apply(db, generation, index, claimed)
    except IndexUnavailable as error:
        seconds = outages.fail(what, error.message, longest=LONGEST_SECONDS)
        _postpone(db, generation, claimed, error, timedelta(seconds=seconds))
        raise
    outages.work(what)


def _apply(
    db: Database, generation: Generation, index: VectorIndex, claimed: Sequence[Claimed]
) -> None:
    ids = [row.product_id for row in claimed]
    digests = {digest for row in claimed for digest in _digests(row)}
    with db.read() as session:
        rows = session.scalars(select(Product).where(Product.id.in_(ids)))
        products = {row.id: row for row in rows}
        vectors = image_vectors.load(session, generation.fingerprint, digests)
    gone, without_vector, points = [], [], {}
    for row in claimed:
        product = products.get(row.product_id)
        if product is None or product.removed_at is not None or row.embedded_digest is None:
            gone.append(row)
        elif not vectors.keys() >= _digests(row):
            without_vector.append(row)
        else:
            points[row] = _points(row, product, vectors)
    written = _upsert(db, generation, index, points)
    surplus = {id_: row.claim for row in written for id_ in _surplus(row)}
    index.delete(surplus | {id_: row.claim for row in gone for id_ in _all_points(row)})
    applied = [(row, True) for row in written] + [(row, False) for row in gone]

    def settle(session: Session) -> None:
        queue.settle_indexed(session, generation.id, applied)
        queue.send_back(session, generation.id, without_vector)

    with db.read() as session:
        waits = _waits(session, generation, written)
    db.write(settle)
    count_searchable(waits)


def _waits(
    session: Session, generation: Generation, written: Sequence[Claimed]
) -> list[tuple[int, float]]:
    """Return (priority, seconds since the change) of products that the active index shows now."""
    if generation.state != ACTIVE:
        return []
    now, ids = clock.now(session), [row.product_id for row in written]
    changed = waiting.since(session, generation.id, ids).values()
    return [(priority, (now - since).total_seconds()) for priority, since in changed]


def _digests(row: Claimed) -> set[str]:
    return {row.embedded_digest or "", *row.more_digests}


def _points(row: Claimed, product: Product, vectors: Mapping[str, Vector]) -> list[Point]:
    """Return the points of a product, one for each of its images."""
    return [
        Point(
            id=point_id(row.product_id, slot),
            vector=vectors[digest],
            payload=payload(product, slot=slot),
            claim=row.claim,
        )
        for slot, digest in enumerate([row.embedded_digest or "", *row.more_digests])
    ]


def _surplus(row: Claimed) -> list[int]:
    """Return the points that a product had, or may have had, for images that it has no more."""
    slots = range(len(row.more_digests) + 1, row.more_points + 1)
    return [point_id(row.product_id, slot) for slot in slots]


def _all_points(row: Claimed) -> list[int]:
    """Return the points that a product that is gone may have."""
    most = max(row.more_points, len(row.more_digests))
    return point_ids([row.product_id], 1 + most)


def _upsert(
    db: Database, generation: Generation, index: VectorIndex, points: dict[Claimed, list[Point]]
) -> list[Claimed]:
    """Upsert the points; rows of which the index refuses a point are quarantined."""
    try:
        refused = upsert_apart(index, [point for several in points.values() for point in several])
    except (InvalidVector, InvalidProduct) as error:
        named = {product_of(id_) for id_ in error.context["ids"]}
        bad = [row for row in points if row.product_id in named]
        _fail(db, generation, bad, f"{error.code}: {error.message}")
        good = {row: several for row, several in points.items() if row not in bad}
        return _upsert(db, generation, index, good)  # which may be refused for another reason
    by_product = {product_of(id_): (id_, error) for id_, error in refused.items()}
    for row in points:
        if row.product_id in by_product:
            _set_aside(db, generation, row, *by_product[row.product_id])
    return [row for row in points if row.product_id not in by_product]


def _set_aside(
    db: Database, generation: Generation, row: Claimed, point: int, error: Exception
) -> None:
    """Quarantine a row of which one point is refused; where the index may recover, it waits."""
    log.warning("the index refuses a point", product=row.product_id, point=point, error=str(error))
    if isinstance(error, IndexUnavailable):
        _postpone(db, generation, [row], error, RETRY_AFTER)
    else:
        _fail(db, generation, [row], f"{IndexRefused.code}: point {point}: {error}")


def _fail(db: Database, generation: Generation, rows: Sequence[Claimed], reason: str) -> None:
    failed = [(row, reason) for row in rows]
    db.write(lambda session: queue.fail_apply(session, generation.id, failed))


def _postpone(
    db: Database,
    generation: Generation,
    rows: Sequence[Claimed],
    error: IndexUnavailable,
    wait: timedelta,
) -> None:
    reason = f"{error.code}: {error.message}"
    db.write(lambda session: queue.postpone_apply(session, generation.id, rows, reason, wait))
