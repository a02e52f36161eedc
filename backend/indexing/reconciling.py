"""Heal what no rule of the queue can: compare the index with SQL, id range by id range.

The index is read first, then SQL, and rows that are due are left to the queue, so that what
changes meanwhile is never taken for drift. A quarantined row is never woken: its image stays shut.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import Any, Final

from sqlalchemy import func, select, true
from sqlalchemy.orm import Session

from backend.catalogue import outbox
from backend.catalogue.database import Database
from backend.catalogue.models import Cursor, Generation, IndexEntry, Product
from backend.catalogue.progress import of_product
from backend.vectors import VectorIndex

RANGE: Final = 2000
"""Ids that are compared at once."""


@dataclass(kw_only=True)
class Drift:
    """What was found; each list holds product ids."""

    checked: int = 0
    missing: list[int] = field(default_factory=list)  # SQL says indexed, the index has no point
    stale: list[int] = field(default_factory=list)  # the point was written by another claim
    stray: list[int] = field(default_factory=list)  # a point that should not be there
    unqueued: list[int] = field(default_factory=list)  # a product that the queue does not know

    def add(self, other: Drift) -> None:
        """Add what another range showed."""
        for part in fields(self):
            setattr(self, part.name, getattr(self, part.name) + getattr(other, part.name))

    @property
    def total(self) -> int:
        """How many products are not as SQL says."""
        return sum(map(len, (self.missing, self.stale, self.stray, self.unqueued)))

    def summary(self) -> dict[str, Any]:
        """Count each kind, and name the first few ids of each."""
        kinds = {part.name: getattr(self, part.name) for part in fields(self)[1:]}
        counts = {name: len(ids) for name, ids in kinds.items()}
        return {
            "checked": self.checked,
            "drift": self.total,
            **counts,
            "examples": {name: ids[:10] for name, ids in kinds.items() if ids},
        }


@dataclass(frozen=True)
class _Row:
    """One product's entry, as far as the comparison needs it."""

    product_id: int
    removed: bool
    known: bool  # whether the product has an entry
    at_rest: bool
    indexed_claim: int | None


def reconcile(
    db: Database,
    generation: Generation,
    index: VectorIndex,
    *,
    fix: bool,
    start: int = 0,
    stop: int | None = None,
    report: Callable[[int, int | None], None] = lambda _done, _total: None,
) -> Drift:
    """Compare the points with `start <= id < stop` with SQL; with `fix`, heal the difference.

    Healing asks the queue to write again what is missing or stale and to take in what it does not
    know; only a stray point is deleted here, after its row was read once more.
    """
    drift = Drift()
    with db.read() as session:
        beyond = (session.scalar(select(func.max(Product.id))) or 0) + 1
    end = beyond if stop is None else min(stop, beyond)
    for low in range(start, end, RANGE):
        high = min(low + RANGE, end)
        drift.add(_compare(db, generation, index, low, high, fix=fix))
        report(high - start, end - start)
    if stop is None or stop > beyond:  # points beyond all products are foreign
        drift.add(_compare(db, generation, index, max(start, beyond), stop, fix=fix))
    return drift


def reconcile_slice(db: Database, generation: Generation, index: VectorIndex) -> Drift:
    """Reconcile the next range of ids, from where the last slice ended, and heal it."""
    name = f"reconcile:{generation.id}"
    with db.read() as session:
        cursor = session.get(Cursor, name)
        start = cursor.position if cursor else 0
        last = session.scalar(select(func.max(Product.id))) or 0
    stop = start + RANGE if start + RANGE <= last else None  # the last slice has no end
    drift = reconcile(db, generation, index, fix=True, start=start, stop=stop)
    db.write(lambda session: session.merge(Cursor(name=name, position=stop or 0)))
    return drift


def _compare(
    db: Database,
    generation: Generation,
    index: VectorIndex,
    low: int,
    high: int | None,
    *,
    fix: bool,
) -> Drift:
    points = dict(index.claims(start=low, stop=high))
    with db.read() as session:
        rows = _rows(session, generation.id, low, high)
    drift = _drift(points, rows)
    if fix and drift.total:
        _heal(db, generation, index, points, drift)
    return drift


def _rows(session: Session, generation_id: int, low: int, high: int | None) -> dict[int, _Row]:
    rows = session.execute(
        select(
            Product.id,
            Product.removed_at.is_not(None),
            IndexEntry.product_id.is_not(None),
            IndexEntry.due_at.is_(None),
            IndexEntry.indexed_claim,
        )
        .outerjoin(IndexEntry, of_product(generation_id))
        .where(Product.id >= low, true() if high is None else Product.id < high)
    )
    return {row[0]: _Row(*row) for row in rows}


def _drift(points: dict[int, int], rows: dict[int, _Row]) -> Drift:
    drift = Drift(checked=len(rows))
    drift.stray += [id_ for id_ in points if id_ not in rows]
    for id_, row in rows.items():
        if not row.known:
            if not row.removed:
                drift.unqueued.append(id_)
            elif id_ in points:
                drift.stray.append(id_)
        elif row.at_rest:
            _judge(id_, points.get(id_), row.indexed_claim, drift)
    return drift


def _judge(id_: int, found: int | None, expected: int | None, drift: Drift) -> None:
    if expected is None and found is not None:
        drift.stray.append(id_)
    elif expected is not None and found is None:
        drift.missing.append(id_)
    elif expected != found:
        drift.stale.append(id_)


def _heal(
    db: Database, generation: Generation, index: VectorIndex, points: dict[int, int], drift: Drift
) -> None:
    again = {id_: points.get(id_, 0) for id_ in drift.missing + drift.stale}
    unqueued = Product.id.in_(drift.unqueued)

    def ask(session: Session) -> None:
        outbox.request_again(session, generation.id, again)
        outbox.enter(session, generation.id, unqueued)

    db.write(ask)
    if drift.stray:
        _delete_stray(db, generation, index, {id_: points[id_] for id_ in drift.stray})


def _delete_stray(
    db: Database, generation: Generation, index: VectorIndex, points: dict[int, int]
) -> None:
    """Delete points that should not be there, unless SQL has changed its mind meanwhile."""
    with db.read() as session:
        rows = _rows(session, generation.id, min(points), max(points) + 1)
    still = _drift(points, {id_: row for id_, row in rows.items() if id_ in points}).stray
    index.delete({id_: points[id_] for id_ in still})
