"""Compare the answers of a generation with exact search and with the active generation."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from backend.database.engine import Database
from backend.database.models import IndexEntry, Product
from backend.errors import IndexLimited
from backend.queue.progress import count_products
from backend.reindex.checks.sample import SampledProduct, sample
from backend.reindex.checks.settled import count_arriving
from backend.reindex.checks.verdict import Bounds, Check, Side
from backend.search.nearest_products import nearest_products
from backend.search.ranking import average_precision_at_k
from backend.search.recall import NEIGHBOURS, recall
from backend.vectors import Hit, SearchMode, Vector

MAP_AT: Final = 5


@dataclass(frozen=True)
class _Trial:
    """The neighbours of one product: in the candidate, by its exact search, in the active one."""

    asked: SampledProduct
    found: list[Hit]
    exact: list[Hit] | None  # None where the store's strict mode allows no exact search
    before: list[Hit] | None  # None where the active generation has no vector


def check_answers(
    db: Database,
    candidate: Side,
    current: Side | None,
    *,
    bounds: Bounds,
    heartbeat: Callable[[], None] = lambda: None,
) -> list[Check]:
    """Check coverage, recall, overlap and mAP of a candidate.

    `current` is the active generation, None if there is none to compare with.
    """
    asked, category = sample(db, candidate, current, bounds.samples)
    trials = []
    for one in asked:
        heartbeat()
        trials.append(_try(one, candidate, current))
    checks = [_check_coverage(db, candidate, current, bounds), _check_recall(trials, bounds)]
    trials = [trial for trial in trials if trial.before is not None]
    if current is not None and trials:
        same = candidate.generation.fingerprint == current.generation.fingerprint
        checks.append(_check_overlap(trials, same=same, bounds=bounds))
        if category is not None:
            new = _mean_precision(db, candidate, category, trials, [it.found for it in trials])
            before = [it.before or [] for it in trials]
            old = _mean_precision(db, current, category, trials, before)
            checks.append(_check_map(category, new, old, bounds))
    return checks


def _try(one: SampledProduct, candidate: Side, current: Side | None) -> _Trial:
    return _Trial(
        one,
        found=_neighbours(candidate, one.id, one.new),
        exact=_exact_neighbours(candidate, one),
        before=None
        if current is None or one.old is None
        else _neighbours(current, one.id, one.old),
    )


def _exact_neighbours(side: Side, one: SampledProduct) -> list[Hit] | None:
    try:
        return _neighbours(side, one.id, one.new, mode=SearchMode.EXACT)
    except IndexLimited:
        return None


def _neighbours(
    side: Side, id_: int, vector: Vector, *, mode: SearchMode | None = None
) -> list[Hit]:
    most = side.generation.most_images
    return nearest_products(
        side.index, vector, limit=NEIGHBOURS, most_images=most, exclude=[id_], mode=mode
    )


def _check_coverage(db: Database, candidate: Side, current: Side | None, bounds: Bounds) -> Check:
    with db.read() as session:
        new_id = candidate.generation.id
        new = count_products(session, new_id) + count_arriving(session, new_id)
        old = count_products(session, current.generation.id) if current else 0
    share = new / old if old else 1.0
    return Check(
        name="coverage",
        value=round(share, 4),
        bound=bounds.coverage,
        passed=share >= bounds.coverage,
        says=f"it holds {new} products, the active generation {old}: "
        f"{share:.3f} of them, {bounds.coverage:.3f} are demanded",
    )


def _check_recall(trials: Sequence[_Trial], bounds: Bounds) -> Check:
    name = f"recall@{NEIGHBOURS}"
    if any(trial.exact is None for trial in trials):
        says = "strict mode does not allow exact search (search_allow_exact), so it is not measured"
        return Check(name=name, value=None, bound=bounds.recall, passed=False, says=says)
    value = _mean(recall(trial.found, trial.exact or []) for trial in trials)
    passed = value is None or value >= bounds.recall
    return Check(
        name=name,
        value=value,
        bound=bounds.recall,
        passed=passed,
        says=""
        if value is None
        else f"{name} is {value:.3f}, {_beside(value, bounds.recall)} "
        f"the {bounds.recall:.3f} demanded",
    )


def _check_overlap(trials: Sequence[_Trial], *, same: bool, bounds: Bounds) -> Check:
    """With the same embedder check the overlap; with another one only report it."""
    name, least = f"overlap@{NEIGHBOURS}", bounds.overlap
    measure = recall if same else _shared
    value = _mean(measure(trial.found, trial.before or []) for trial in trials) or 0.0
    if not same:
        says = f"{value:.0%} of the neighbours stay the same"
        return Check(name=name, value=value, says=says)
    return Check(
        name=name,
        value=value,
        bound=least,
        passed=value >= least,
        says=f"{name} with the active generation of the same embedder is {value:.3f}, "
        f"{_beside(value, least)} the {least:.3f} demanded",
    )


def _shared(found: Sequence[Hit], reference: Sequence[Hit]) -> float:
    ids = {hit.id for hit in reference}
    return sum(hit.id in ids for hit in found) / max(1, len(ids))


def _mean_precision(
    db: Database, side: Side, field: str, trials: Sequence[_Trial], answers: Sequence[list[Hit]]
) -> float | None:
    """Return mAP over the sample: a neighbour of the same category is relevant."""
    with db.read() as session:
        sizes = _sizes(session, side.generation.id, field)
    relevant = np.zeros((len(trials), MAP_AT), dtype=np.bool_)
    others = np.zeros(len(trials), dtype=np.int64)
    for row, (trial, hits) in enumerate(zip(trials, answers, strict=True)):
        category = trial.asked.category
        if category is None:
            continue  # nothing is relevant to it, so it has no precision
        others[row] = max(0, sizes.get(category, 0) - 1)
        for rank, hit in enumerate(hits[:MAP_AT]):
            relevant[row, rank] = hit.payload.get(field) == category
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
        else f"mAP@{MAP_AT} by {field} is {new:.3f}, {_beside(new, old)} the active "
        f"generation's {old:.3f}; {bounds.map_drop:.3f} below is allowed",
    )


def _beside(value: float, other: float) -> str:
    """Say where a value lies beside another, such as `0.020 below`."""
    difference = round(value - other, 3)
    if not difference:
        return "equal to"
    return f"{abs(difference):.3f} {'above' if difference > 0 else 'below'}"


def _mean(values: Iterable[float]) -> float | None:
    found = list(values)
    return round(float(np.mean(found)), 4) if found else None
