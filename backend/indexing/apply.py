"""The second stage: points of embedded rows are written to the index, or deleted from it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import structlog
from sqlalchemy import select
from sqlalchemy.orm import Session

from backend import queue
from backend.catalogue import image_vectors
from backend.database import clock
from backend.database.engine import Database
from backend.database.models import ACTIVE, Generation, Product
from backend.errors import IndexRefused, IndexUnavailable, InvalidProduct, InvalidVector
from backend.indexing.payload import payload
from backend.indexing.refusals import upsert_apart
from backend.metrics.instruments import count_searchable
from backend.outages import Outages
from backend.queue import Claimed, Stage, waiting
from backend.vectors import Point, VectorIndex

log = structlog.get_logger(__name__)

APPLY_BATCH = 256
RETRY_AFTER = timedelta(seconds=5)
LONGEST_SECONDS = 10.0
"""Between two tries of an index that does not answer: when it is back, shoppers see old prices."""


def apply_pending(
    db: Database,
    generation: Generation,
    index: VectorIndex,
    *,
    lease: timedelta,
    limit: int = APPLY_BATCH,
    outages: Outages | None = None,
) -> int:
    """Claim embedded rows and write them to the index; return how many rows were claimed.

    When the index does not answer, the rows wait with that reason and IndexUnavailable is raised;
    with `outages`, none are claimed until it is time to try again. A point that the index refuses
    is quarantined with its reason.
    """
    outages, what = outages or Outages(), f"index of generation {generation.id}"
    with db.read() as session:
        if not queue.is_due(session, generation.id, Stage.APPLY):
            return 0
    if not outages.may_try(what):
        return 0
    claimed = db.write(
        lambda session: queue.claim(session, generation.id, Stage.APPLY, limit=limit, lease=lease)
    )
    if claimed:
        try:
            _apply(db, generation, index, claimed)
        except IndexUnavailable as error:
            seconds = outages.fail(what, error.message, longest=LONGEST_SECONDS)
            _postpone(db, generation, claimed, error, timedelta(seconds=seconds))
            raise
        outages.work(what)
    return len(claimed)


def _apply(
    db: Database, generation: Generation, index: VectorIndex, claimed: Sequence[Claimed]
) -> None:
    ids = [row.product_id for row in claimed]
    with db.read() as session:
        rows = session.scalars(select(Product).where(Product.id.in_(ids)))
        products = {row.id: row for row in rows}
        vectors = image_vectors.load(
            session, generation.fingerprint, {row.embedded_digest or "" for row in claimed}
        )
    gone, without_vector, points = [], [], {}
    for row in claimed:
        product = products.get(row.product_id)
        if product is None or product.removed_at is not None or row.embedded_digest is None:
            gone.append(row)
        elif row.embedded_digest not in vectors:
            without_vector.append(row)
        else:
            vector = vectors[row.embedded_digest]
            points[row] = Point(
                id=row.product_id, vector=vector, payload=payload(product), claim=row.claim
            )
    written = _upsert(db, generation, index, points)
    index.delete({row.product_id: row.claim for row in gone})
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


def _upsert(
    db: Database, generation: Generation, index: VectorIndex, points: dict[Claimed, Point]
) -> list[Claimed]:
    """Upsert the points; rows whose points the index refuses are quarantined."""
    try:
        refused = upsert_apart(index, list(points.values()))
    except (InvalidVector, InvalidProduct) as error:
        bad = [row for row in points if row.product_id in error.context["ids"]]
        _fail(db, generation, bad, f"{error.code}: {error.message}")
        good = {row: point for row, point in points.items() if row not in bad}
        return _upsert(db, generation, index, good)  # which may be refused for another reason
    for row in points:
        if row.product_id in refused:
            _set_aside(db, generation, row, refused[row.product_id])
    return [row for row in points if row.product_id not in refused]


def _set_aside(db: Database, generation: Generation, row: Claimed, error: Exception) -> None:
    """Quarantine a row whose point alone is refused; where the index may recover, it waits."""
    log.warning("the index refuses a point", product=row.product_id, error=str(error))
    if isinstance(error, IndexUnavailable):
        _postpone(db, generation, [row], error, RETRY_AFTER)
    else:
        _fail(db, generation, [row], f"{IndexRefused.code}: point {row.product_id}: {error}")


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
