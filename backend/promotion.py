"""Is a generation good enough to answer? Each rule is a number, its bound, and what it says.

Everything is measured on stored vectors, of a fixed sample of products: no image is opened, and
two checks of the same catalogue ask the same questions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from random import Random
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt
from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session

from backend.catalogue import image_vectors
from backend.catalogue.database import Database
from backend.catalogue.models import Generation, IndexEntry, Product, utcnow
from backend.errors import LookalikeError, PromotionRefused
from backend.evaluation.ranking import average_precision_at_k
from backend.vectors import Hit, VectorIndex

Vector: TypeAlias = npt.NDArray[np.float32]

NEIGHBOURS: Final = 10
MAP_AT: Final = 5
CATEGORIES: Final = ("article_type", "sub_category", "master_category")
"""What makes two products alike, the finest first; the first one that most products have counts."""

TIE: Final = 1e-5
"""Scores that differ by less are equal: of equal neighbours either may be named."""

SEED: Final = 20_220_601
DRAWN: Final = 30_000
"""Ids of which the sample is taken: some are of removed products. A statement takes few more."""


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """What a promotion demands."""

    samples: int  # products that are asked for
    wait: timedelta  # the longest that a row may wait
    recall: float  # least
    map_drop: float  # most, in points of mAP
    overlap: float  # least
    coverage: float  # least


@dataclass(frozen=True, kw_only=True)
class Check:
    """One rule and what was found; a check without a verdict is only reported."""

    name: str
    value: float | None
    bound: float | None = None
    passed: bool = True
    says: str = ""


@dataclass(frozen=True)
class Side:
    """One generation in the comparison."""

    generation: Generation
    index: VectorIndex


@dataclass(frozen=True)
class Verdict:
    """Every check of one attempt."""

    checks: Sequence[Check]
    at: datetime

    @property
    def failed(self) -> list[Check]:
        """The checks that speak against a promotion."""
        return [check for check in self.checks if not check.passed]

    def quality(self, *, forced: bool = False) -> dict[str, Any]:
        """Return the numbers as they are kept with the generation."""
        checks = {check.name: _without_name(check) for check in self.checks}
        return {"checked_at": self.at.isoformat(), "forced": forced, "checks": checks}

    def demand(self, generation: Generation) -> None:
        """Raise PromotionRefused, naming each number that failed and by how much."""
        if self.failed:
            reasons = "; ".join(check.says for check in self.failed)
            raise PromotionRefused(
                f"generation {generation.id} is not promoted: {reasons}",
                checks=self.quality()["checks"],
            )


def _without_name(check: Check) -> dict[str, Any]:
    found = asdict(check)
    del found["name"]
    return found


# --- what the queue says ---------------------------------------------------------------------


def unsettled(session: Session, generation_id: int, *, before: datetime) -> int:
    """Count the rows that were due before a moment and are neither settled nor quarantined."""
    return _count(session, generation_id, IndexEntry.requested_at < before, _is_due())


def check_queue(
    db: Database, generation: Generation, *, began: datetime, bounds: Bounds
) -> list[Check]:
    """Check that what was due before the check began is done, and that nothing waits for long."""
    with db.read() as session:
        left = unsettled(session, generation.id, before=began)
        oldest = session.scalar(
            select(func.min(IndexEntry.requested_at)).where(
                IndexEntry.generation_id == generation.id, _is_due()
            )
        )
    waits = (utcnow() - oldest).total_seconds() if oldest else 0.0
    longest = bounds.wait.total_seconds()
    return [
        Check(
            name="unsettled",
            value=left,
            bound=0,
            passed=left == 0,
            says=f"{left} products that were due when the check began are not indexed yet",
        ),
        Check(
            name="longest_wait_seconds",
            value=round(waits, 1),
            bound=longest,
            passed=waits <= longest,
            says=f"a product has been waiting for {waits:.0f} s, {longest:.0f} s are allowed",
        ),
    ]


def check_counts(db: Database, side: Side) -> Check:
    """Check that the index holds as many points as SQL says; what is under way may differ."""
    with db.read() as session:
        before = _points(session, side.generation.id)
    found = side.index.count()
    with db.read() as session:
        after = _points(session, side.generation.id)
        moving = _count(session, side.generation.id, _is_due())
    off = max(0, abs(found - after) - abs(after - before) - moving)
    return Check(
        name="counts",
        value=found,
        bound=after,
        passed=off == 0,
        says=f"the index holds {found} products, SQL says {after} ({moving} are under way)",
    )


def _points(session: Session, generation_id: int) -> int:
    return _count(session, generation_id, IndexEntry.indexed_claim.is_not(None))


def _count(session: Session, generation_id: int, *which: ColumnElement[bool]) -> int:
    rows = select(func.count()).where(IndexEntry.generation_id == generation_id, *which)
    return session.scalar(rows) or 0


def _is_due() -> ColumnElement[bool]:
    return IndexEntry.due_at.is_not(None)


# --- what the index answers ------------------------------------------------------------------


@dataclass(frozen=True)
class _Asked:
    """One product of the sample: its vector in either generation, and its category."""

    id: int
    new: Vector
    old: Vector | None
    category: str | None


def check_answers(
    db: Database,
    candidate: Side,
    current: Side | None,
    *,
    bounds: Bounds,
    alive: Callable[[], None] = lambda: None,
) -> list[Check]:
    """Compare the candidate's answers with exact search, and with those of the active generation.

    `current` is the active generation, None where there is none to compare with.
    """
    asked, field = _sample(db, candidate, current, bounds.samples)
    found: list[list[Hit]] = []
    exact: list[list[Hit]] = []
    old: list[list[Hit] | None] = []  # None where the active generation has no vector
    for one in asked:
        alive()
        found.append(_neighbours(candidate.index, one.id, one.new))
        exact.append(_neighbours(candidate.index, one.id, one.new, exact=True))
        if current is None or one.old is None:
            old.append(None)
        else:
            old.append(_neighbours(current.index, one.id, one.old))
    checks = [_check_coverage(db, candidate, current, bounds), _check_recall(found, exact, bounds)]
    pairs = [(new, past) for new, past in zip(found, old, strict=True) if past is not None]
    if current is None or not pairs:
        return checks
    same = candidate.generation.fingerprint == current.generation.fingerprint
    checks.append(_check_overlap(pairs, same=same, bounds=bounds))
    if field is not None:
        both = [it for it, past in zip(asked, old, strict=True) if past is not None]
        news, pasts = [new for new, _ in pairs], [past for _, past in pairs]
        new_map = _mean_precision(db, candidate, field, both, news)
        old_map = _mean_precision(db, current, field, both, pasts)
        checks.append(_check_map(field, new_map, old_map, bounds))
    return checks


def _neighbours(index: VectorIndex, id_: int, vector: Vector, *, exact: bool = False) -> list[Hit]:
    return index.nearest(vector, limit=NEIGHBOURS, exclude=[id_], exact=exact)


def _sample(
    db: Database, candidate: Side, current: Side | None, count: int
) -> tuple[list[_Asked], str | None]:
    """Choose products that have a vector in the candidate, and the category to judge them by."""
    with db.read() as session:
        chosen = _draw(session, candidate.generation.id, count)
        new = _vectors(session, candidate.generation, chosen)
        old = _vectors(session, current.generation, chosen) if current else {}
        products = session.execute(
            select(Product.id, *(getattr(Product, name) for name in CATEGORIES)).where(
                Product.id.in_(chosen)
            )
        ).all()
    categories = {row.id: row for row in products}
    field = _category(products)
    return [
        _Asked(id_, new[id_], old.get(id_), getattr(categories[id_], field) if field else None)
        for id_ in chosen
        if id_ in new and id_ in categories
    ], field


def _draw(session: Session, generation_id: int, count: int) -> list[int]:
    """Draw products that the generation's index holds, the same ones as long as they are there."""
    last = session.scalar(select(func.max(Product.id))) or 0
    drawn = Random(SEED).sample(range(1, last + 1), min(last, DRAWN))
    there = set(
        session.scalars(
            select(IndexEntry.product_id).where(
                IndexEntry.generation_id == generation_id,
                IndexEntry.indexed_claim.is_not(None),
                IndexEntry.product_id.in_(drawn),
            )
        )
    )
    return [id_ for id_ in drawn if id_ in there][:count]


def _vectors(session: Session, generation: Generation, ids: Sequence[int]) -> dict[int, Vector]:
    rows = session.execute(
        select(IndexEntry.product_id, IndexEntry.embedded_digest).where(
            IndexEntry.generation_id == generation.id, IndexEntry.product_id.in_(ids)
        )
    )
    digests = {id_: digest for id_, digest in rows if digest is not None}
    stored = image_vectors.load(session, generation.fingerprint, digests.values())
    return {id_: stored[digest] for id_, digest in digests.items() if digest in stored}


def _category(products: Sequence[Any]) -> str | None:
    """Return the finest category that half of the products have, in more than one value."""
    for name in CATEGORIES:
        values = [value for row in products if (value := getattr(row, name))]
        if len(values) * 2 >= len(products) and len(set(values)) > 1:
            return name
    return None


def _check_coverage(db: Database, candidate: Side, current: Side | None, bounds: Bounds) -> Check:
    with db.read() as session:
        new = _points(session, candidate.generation.id)
        old = _points(session, current.generation.id) if current else 0
    share = new / old if old else 1.0
    return Check(
        name="coverage",
        value=round(share, 4),
        bound=bounds.coverage,
        passed=share >= bounds.coverage,
        says=f"it holds {new} products, the active generation {old}: "
        f"{share:.3f} of them, {bounds.coverage:.3f} are demanded",
    )


def _check_recall(found: Sequence[list[Hit]], exact: Sequence[list[Hit]], bounds: Bounds) -> Check:
    recall = _mean(_agreement(*pair) for pair in zip(found, exact, strict=True))
    passed = recall is None or recall >= bounds.recall
    return Check(
        name=f"recall@{NEIGHBOURS}",
        value=recall,
        bound=bounds.recall,
        passed=passed,
        says=""
        if recall is None
        else f"recall@{NEIGHBOURS} is {recall:.3f}, "
        f"{bounds.recall - recall:.3f} below the {bounds.recall:.3f} demanded",
    )


def _agreement(found: Sequence[Hit], reference: Sequence[Hit]) -> float:
    """Return the share of the reference that was found; of equal neighbours any will do."""
    if not reference:
        return 1.0
    ids, worst = {hit.id for hit in reference}, reference[-1].score - TIE
    good = sum(hit.id in ids or hit.score >= worst for hit in found)
    return min(1.0, good / len(reference))


def _check_overlap(
    pairs: Sequence[tuple[list[Hit], list[Hit]]], *, same: bool, bounds: Bounds
) -> Check:
    """Demand overlap of the same embedder; of another one it only tells how much will change."""
    if same:
        overlap = _mean(_agreement(*pair) for pair in pairs)
    else:
        overlap = _mean(_shared(*pair) for pair in pairs)
    value = overlap or 0.0
    return Check(
        name=f"overlap@{NEIGHBOURS}",
        value=value,
        bound=bounds.overlap if same else None,
        passed=not same or value >= bounds.overlap,
        says=f"overlap@{NEIGHBOURS} with the active generation of the same embedder is "
        f"{value:.3f}, {bounds.overlap - value:.3f} below the {bounds.overlap:.3f} demanded"
        if same
        else f"{value:.0%} of the neighbours stay the same",
    )


def _shared(found: Sequence[Hit], reference: Sequence[Hit]) -> float:
    ids = {hit.id for hit in reference}
    return sum(hit.id in ids for hit in found) / max(1, len(ids))


def _mean_precision(
    db: Database, side: Side, field: str, asked: Sequence[_Asked], neighbours: Sequence[list[Hit]]
) -> float | None:
    """Return mAP over the sample: a neighbour of the same category is relevant."""
    with db.read() as session:
        sizes = _sizes(session, side.generation.id, field)
    relevant = np.zeros((len(asked), MAP_AT), dtype=np.bool_)
    others = np.zeros(len(asked), dtype=np.int64)
    for row, (one, hits) in enumerate(zip(asked, neighbours, strict=True)):
        if one.category is None:
            continue  # nothing is relevant to it: it is skipped
        others[row] = max(0, sizes.get(one.category, 0) - 1)
        for rank, hit in enumerate(hits[:MAP_AT]):
            relevant[row, rank] = hit.payload.get(field) == one.category
    precisions = average_precision_at_k(relevant, others)
    return _mean(precisions[~np.isnan(precisions)])


def _sizes(session: Session, generation_id: int, field: str) -> dict[str, int]:
    """Count the indexed products of each category."""
    column = getattr(Product, field)
    rows = session.execute(
        select(column, func.count())
        .join(IndexEntry, IndexEntry.product_id == Product.id)
        .where(IndexEntry.generation_id == generation_id, IndexEntry.indexed_claim.is_not(None))
        .group_by(column)
    )
    return {row[0]: row[1] for row in rows}


def _check_map(field: str, new: float | None, old: float | None, bounds: Bounds) -> Check:
    least = None if old is None else old - bounds.map_drop
    passed = new is None or least is None or new >= least
    return Check(
        name=f"mAP@{MAP_AT}",
        value=new,
        bound=least,
        passed=passed,
        says=""
        if new is None or old is None
        else f"mAP@{MAP_AT} by {field} is {new:.3f}, {old - new:.3f} below the active "
        f"generation's {old:.3f}, {bounds.map_drop:.3f} are allowed",
    )


def _mean(values: Any) -> float | None:
    found = list(values)
    return round(float(np.mean(found)), 4) if found else None


# --- what the encoder answers ----------------------------------------------------------------


def check_encoder(ask: Callable[[Generation], None], generation: Generation) -> Check:
    """Check that a query by picture would be answered: `ask` embeds one, or says why not."""
    try:
        ask(generation)
    except LookalikeError as error:
        says = f"the query encoder does not answer: {error.message}"
        return Check(name="query_encoder", value=0, bound=1, passed=False, says=says)
    return Check(name="query_encoder", value=1, bound=1)
