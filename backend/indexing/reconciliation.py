"""Compare the index with SQL, id range by id range, and repair what the queue cannot notice.

The index is read first, then SQL, and rows that are due are left to the queue. What differs is
compared a second time, so that what changes meanwhile does not count as drift. Quarantined rows
do not become due: their images are not opened.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Collection
from typing import Final

import numpy as np
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from backend import queue
from backend.catalogue import image_vectors
from backend.database.engine import Database
from backend.database.models import BUILDING, Cursor, Generation, Product, utcnow
from backend.database.upsert import upsert
from backend.indexing.drift import Drift, ProductState, compare
from backend.indexing.product_states import read_states
from backend.queue import backfill
from backend.vectors import StoredPoint, Vector, VectorIndex
from backend.vectors.image_points import STRIDE, point_id, product_of, slot_of

RANGE: Final = 2000
"""Ids that are compared at once."""

SAMPLE: Final = 0.01
"""Share of the vectors that are compared, unless all are."""

EQUAL: Final = 0.999
"""Least cosine of equal vectors: devices and precisions make smaller differences than that."""


def reconcile(
    db: Database,
    generation: Generation,
    index: VectorIndex,
    *,
    fix: bool,
    full: bool = False,
    start: int = 0,
    stop: int | None = None,
    report: Callable[[int, int | None], None] = lambda _done, _total: None,
) -> Drift:
    """Compare the points with `start <= id < stop` with SQL; with `fix`, repair the differences.

    Claims and payloads are compared for each product, vectors for a sample, or all if `full`. A
    repair requests again what is missing or differs, and gives an entry to each product that has
    none. A vector that SQL lacks is copied from its point. Only points that should not be there are
    deleted here, after their rows were read again.
    """
    comparison = _Comparison(db, generation, index, fix=fix, share=1.0 if full else SAMPLE)
    drift = comparison.points_without_claim() if start == 0 else Drift()
    with db.read() as session:
        beyond = (session.scalar(select(func.max(Product.id))) or 0) + 1
    end = beyond if stop is None else min(stop, beyond)
    for low in range(start, end, RANGE):
        high = min(low + RANGE, end)
        drift.add(comparison.one_range(low, high))
        report(high - start, end - start)
    if stop is None or stop > beyond:  # there are no products, so there should be no points
        drift.add(comparison.one_range(max(start, beyond), stop))
    return drift


def reconcile_slice(db: Database, generation: Generation, index: VectorIndex) -> Drift:
    """Reconcile the next range of ids, from where the last slice ended, and repair it."""
    name = f"reconcile:{generation.id}"
    with db.read() as session:
        cursor = session.get(Cursor, name)
        start = cursor.position if cursor else 0
        last = session.scalar(select(func.max(Product.id))) or 0
    stop = start + RANGE if start + RANGE <= last else None  # the last slice has no end
    drift = reconcile(db, generation, index, fix=True, start=start, stop=stop)
    db.write(lambda session: _move(session, name, stop or 0))
    return drift


def _move(session: Session, name: str, position: int) -> None:
    """Store how far it has come; two processes may do so at once."""
    insert = upsert(session, Cursor).values(name=name, position=position, updated_at=utcnow())
    new = insert.excluded
    session.execute(
        insert.on_conflict_do_update(
            index_elements=[Cursor.name],
            set_={"position": new.position, "updated_at": new.updated_at},
        )
    )


class _Comparison:
    """Compares one index with SQL, range by range."""

    def __init__(
        self, db: Database, generation: Generation, index: VectorIndex, *, fix: bool, share: float
    ) -> None:
        self._db = db
        self._generation = generation
        self._index = index
        self._fix = fix
        self._share = share

    def points_without_claim(self) -> Drift:
        """Find points that another program wrote.

        With `fix` they are deleted: otherwise our points with these ids would not be written.
        """
        drift = Drift()
        for id_ in self._index.points_without_claim():
            drift.note("point_without_claim", id_)
        if self._fix and drift.total:
            self._index.delete_points_without_claim()
        return drift

    def one_range(self, low: int, high: int | None) -> Drift:
        """Compare one range, twice if something differs, and repair it."""
        drift, records, sample = self._compare(low, high, None)
        if drift.total:
            second, records, _ = self._compare(low, high, sample)
            drift = drift.confirmed_by(second)
        if self._fix and drift.total:
            self._repair(records, drift)
        return drift

    def _compare(
        self, low: int, high: int | None, sample: Collection[int] | None
    ) -> tuple[Drift, dict[int, StoredPoint], Collection[int]]:
        """Compare one range once; return its points, and the ids of the vectors compared."""
        ids = points_of(self._index, low, high)
        records = {record.id: record for record in self._index.records(ids)}
        with self._db.read() as session:
            rows = read_states(session, self._generation, low, high)
        building = self._generation.state == BUILDING
        backfilled = self._generation.backfilled_to if building else None
        drift = compare(records, rows, backfilled_to=backfilled)
        if sample is None:
            sample = self._sample(records, rows)
        self._compare_vectors([id_ for id_ in sample if product_of(id_) in rows], rows, drift)
        return drift, records, sample

    def _sample(self, records: dict[int, StoredPoint], rows: dict[int, ProductState]) -> list[int]:
        """Choose some of the points that agree with SQL, at least one per range."""
        agreeing = [
            id_
            for id_, record in records.items()
            if (row := rows.get(product_of(id_))) is not None
            and row.at_rest
            and row.holds(slot_of(id_))
            and _agrees(record, row)
        ]
        if self._share >= 1 or not agreeing:
            return agreeing
        return random.sample(agreeing, max(1, round(self._share * len(agreeing))))

    def _compare_vectors(self, ids: list[int], rows: dict[int, ProductState], drift: Drift) -> None:
        """Compare vectors with those in SQL, except of points that were written meanwhile."""
        records = self._index.records(ids, vectors=True)
        digests = {rows[product_of(id_)].digest_of(slot_of(id_)) or "" for id_ in ids}
        with self._db.read() as session:
            vectors = image_vectors.load(session, self._generation.fingerprint, digests)
        for record in records:
            row = rows[product_of(record.id)]
            digest = row.digest_of(slot_of(record.id)) or ""
            if not _agrees(record, row) or digest not in vectors:
                continue
            drift.compared += 1
            if not _equal(record.vector, vectors[digest]):
                drift.note("different_vector", record.id)

    def _repair(self, records: dict[int, StoredPoint], drift: Drift) -> None:
        differing = {
            *drift.missing_point,
            *drift.other_claim,
            *drift.different_payload,
            *drift.different_vector,
        }
        found_claims = _newest_claims(records)
        unknown = {id_ for id_ in drift.no_entry if id_ in found_claims}  # that have points
        products = {product_of(id_) for id_ in differing} | unknown
        again = {id_: found_claims.get(id_, 0) for id_ in products}
        found = self._vectors_of(drift.vector_not_in_sql)
        generation_id, fingerprint = self._generation.id, self._generation.fingerprint

        def request(session: Session) -> None:
            image_vectors.store(session, fingerprint, found)
            backfill.insert_missing(session, generation_id, Product.id.in_(drift.no_entry))
            queue.request_again(session, generation_id, again)

        self._db.write(request)
        if drift.unexpected_point:
            self._delete_unexpected(
                {id_: records[id_] for id_ in drift.unexpected_point if id_ in records}
            )

    def _vectors_of(self, ids: list[int]) -> dict[str, Vector]:
        """Read the vectors that SQL lacks from their points; return them by image digest."""
        if not ids:
            return {}
        with self._db.read() as session:
            rows = read_states(session, self._generation, *_range_of(ids))
        found: dict[str, Vector] = {}
        for record in self._index.records(ids, vectors=True):
            row = rows.get(product_of(record.id))
            digest = row.digest_of(slot_of(record.id)) if row else None
            if row and digest and record.vector is not None and _agrees(record, row):
                found[digest] = record.vector
        return found

    def _delete_unexpected(self, records: dict[int, StoredPoint]) -> None:
        """Delete points that should not be there, unless SQL has changed meanwhile."""
        if not records:
            return
        with self._db.read() as session:
            rows = read_states(session, self._generation, *_range_of(records))
        products = {product_of(id_) for id_ in records}
        concerned = {id_: row for id_, row in rows.items() if id_ in products}
        still = compare(records, concerned, backfilled_to=None).unexpected_point
        self._index.delete({id_: records[id_].claim for id_ in still})


def points_of(index: VectorIndex, low: int, high: int | None) -> list[int]:
    """Return the ids of all points of the products with `low` <= product id < `high`.

    The points of one slot lie together. So the next one there is says which slot comes next.
    """
    end = STRIDE if high is None else high
    found = [id_ for id_, _ in index.claims(start=low, stop=end)]
    start: int | None = point_id(low, 1)
    while start is not None:
        first = next(index.claims(start=start), None)
        if first is None:
            return found
        slot, product = slot_of(first[0]), product_of(first[0])
        if product < low:
            start = point_id(low, slot)
        elif product >= end:
            start = point_id(low, slot + 1)
        else:
            stop = point_id(end, slot)
            found += [id_ for id_, _ in index.claims(start=first[0], stop=stop)]
            start = point_id(low, slot + 1)
    return found


def _newest_claims(records: dict[int, StoredPoint]) -> dict[int, int]:
    """Return the greatest claim among the points of each product."""
    found: dict[int, int] = {}
    for id_, record in records.items():
        product = product_of(id_)
        found[product] = max(found.get(product, 0), record.claim)
    return found


def _range_of(ids: Collection[int]) -> tuple[int, int]:
    products = [product_of(id_) for id_ in ids]
    return min(products), max(products) + 1


def _agrees(record: StoredPoint, row: ProductState) -> bool:
    return row.indexed_claim is not None and record.claim == row.indexed_claim


def _equal(found: Vector | None, stored: Vector) -> bool:
    """Tell whether two vectors are equal; the stored one has a norm a little off 1 (float16)."""
    return found is not None and float(found @ stored) >= EQUAL * float(np.linalg.norm(stored))
