"""Fit the curve of `match` to a generation: by the shop's labels, on neighbours in its index."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import numpy as np
from sqlalchemy import func, update

from backend.database.engine import Database
from backend.database.models import Generation
from backend.queue import counting
from backend.reindex.checks.sample import SampledProduct, sample
from backend.reindex.checks.verdict import Check, Side
from backend.search.matches import MatchCurve, Pairs, fit_and_judge
from backend.search.nearest_products import nearest_products

FIELDS: Final = ("article_type", "sub_category")
"""Fields that tell what a shopper calls the same kind; coarser ones do not."""

QUERIES: Final = 400
NEIGHBOURS: Final = 30
"""Of each query. Answers have 10 by default; those further away show where a match ends."""

LEAST_PRODUCTS: Final = 100
"""Products with a vector and a label that a curve needs; also how many the index must hold."""

GROWTH: Final = 2
"""A curve is fitted again when the index holds so many times as many products."""


def needs_curve(db: Database, generation: Generation) -> bool:
    """Tell whether a generation has no curve, or one of a much smaller catalogue."""
    indexed = counting.current(db, generation.id).progress.indexed
    fitted = generation.match_curve["products"] if generation.match_curve else 0
    return indexed >= max(LEAST_PRODUCTS, GROWTH * fitted)


def calibrate(
    db: Database, side: Side, *, heartbeat: Callable[[], None] = lambda: None
) -> MatchCurve | None:
    """Fit the curve of a generation and keep it with it; None where there are too few labels.

    A curve that it had before then stays. Raises what the index raises.
    """
    generation = side.generation
    asked, field = sample(db, side, None, QUERIES)
    labelled = [it for it in asked if it.category is not None]
    if field not in FIELDS or len(labelled) < LEAST_PRODUCTS:
        return None
    pairs = []
    for one in labelled:
        heartbeat()
        pairs.append(_pairs(side, one, field))
    products = counting.current(db, generation.id).progress.indexed
    far = [_far_pairs(labelled, at) for at in range(len(labelled))]
    fitted = fit_and_judge(pairs, far, by=field, products=products)
    if fitted is None:
        return None
    _keep(db, generation.id, fitted[0])
    return fitted[0]


def check_match(curve: MatchCurve | None) -> Check:
    """Report how far the curve of a generation is off; a promotion has no bound for it."""
    if curve is None:
        return Check(name="match_error", value=None, says="too few labels for a curve of `match`")
    says = f"`match` differs by {curve.error:.3f} on average from the labels of other products"
    return Check(name="match_error", value=curve.error, says=says)


def _pairs(side: Side, one: SampledProduct, field: str) -> Pairs:
    hits = nearest_products(
        side.index,
        one.new,
        limit=NEIGHBOURS,
        most_images=side.generation.most_images,
        exclude=[one.id],
    )
    known = [hit for hit in hits if hit.payload.get(field) is not None]
    scores = np.array([min(1.0, max(-1.0, hit.score)) for hit in known], np.float64)
    same = np.array([hit.payload[field] == one.category for hit in known], np.bool_)
    return Pairs(scores, same)


def _far_pairs(labelled: Sequence[SampledProduct], at: int) -> Pairs:
    """Pair a product with the next ones of the sample, which are drawn from the whole catalogue."""
    one, others = labelled[at], [*labelled[at + 1 :], *labelled[:at]][:NEIGHBOURS]
    scores = np.array([float(one.new @ other.new) for other in others], np.float64)
    same = np.array([other.category == one.category for other in others], np.bool_)
    return Pairs(np.clip(scores, -1, 1), same)


def _keep(db: Database, generation_id: int, curve: MatchCurve) -> None:
    """Store a curve under a higher version, so that processes read it again."""
    version = func.coalesce(Generation.match_version, 0) + 1
    db.write(
        lambda session: session.execute(
            update(Generation)
            .where(Generation.id == generation_id)
            .values(match_curve=curve.kept(), match_version=version)
            .execution_options(synchronize_session=False)
        )
    )
