"""Who is searched and who is asked for: drawn by seeds and digests, before anything is computed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from backend.errors import NotEvaluable
from backend.lab.evaluation.neighbours import Metric
from backend.lab.evaluation.products import Labels, Pictured, label
from backend.lab.evaluation.splits import Mask, Positions, cap, draw, split, unseen_categories

ALL, HELD_OUT, UNSEEN = "all", "held-out", "unseen"
"""The groups of queries: the first alone, or the other two."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """What is asked. All draws are by the seed."""

    by: Sequence[str] = ("article_type", "base_colour+article_type")
    k: int = 5
    metric: Metric = "cosine"
    sample: int | None = None  # products that take part, drawn in catalogue order; None: all
    per_category: int | None = None  # at most so many of each category of the first label
    queries: int | None = None  # None: every product that may be asked for
    held_out: float = 0  # fraction of products that count as never trained on
    unseen: Sequence[str] | float = ()  # categories of the first label that do, or a fraction
    index: Literal["all", "held-out"] = "all"  # held-out: without the training products
    seed: int = 0
    resamples: int = 1000
    timed: int = 64  # pictures by which speed is measured; 0: not at all

    @property
    def splits(self) -> bool:
        """Whether training products are told apart, which are then never asked for."""
        return self.held_out > 0 or bool(self.unseen) or self.index == HELD_OUT


@dataclass(frozen=True, kw_only=True)
class EvaluationPlan:
    """The index, product by product, and who of it may be asked for."""

    products: Sequence[Pictured]
    labels: Mapping[str, Labels]  # by label
    groups: Mapping[str, Mask]  # over the products
    unseen: Sequence[str] = ()  # categories

    def only(self, kept: Mask) -> EvaluationPlan:
        """Return the plan without some products. Raises NotEvaluable for fewer than two."""
        positions = np.flatnonzero(kept)
        if len(positions) < 2:
            raise NotEvaluable("fewer than two products with a picture can be judged")
        return EvaluationPlan(
            products=[self.products[position] for position in positions.tolist()],
            labels={by: labels.take(positions) for by, labels in self.labels.items()},
            groups={name: mask[positions] for name, mask in self.groups.items()},
            unseen=self.unseen,
        )

    def queries(self, options: Options) -> Positions:
        """Draw who is asked for. Raises NotEvaluable when that is nobody."""
        allowed = np.flatnonzero(np.any(list(self.groups.values()), axis=0))
        if not len(allowed):
            raise NotEvaluable("the split leaves no product to ask for")
        return np.sort(draw(allowed, options.queries, seed=options.seed))


def lay_out(products: Sequence[Pictured], options: Options) -> EvaluationPlan:
    """Draw the sample, cap its categories, split it. Raises NotEvaluable."""
    drawn = draw(np.arange(len(products)), options.sample, seed=options.seed)
    sample = [products[position] for position in drawn.tolist()]
    if not sample:
        raise NotEvaluable("the catalogue has no product with a picture")
    labels = {by: label(sample, by) for by in options.by}
    plan = EvaluationPlan(products=sample, labels=labels, groups={ALL: np.ones(len(sample), bool)})
    plan = plan.only(cap(labels[options.by[0]].codes, options.per_category, seed=options.seed))
    return _split(plan, options) if options.splits else plan


def _split(plan: EvaluationPlan, options: Options) -> EvaluationPlan:
    first = plan.labels[options.by[0]]
    categories = [first.names[code] if code >= 0 else None for code in first.codes]
    skus = [product.sku for product in plan.products]
    parts = split(
        skus, categories, held_out=options.held_out, unseen=options.unseen, seed=options.seed
    )
    groups = {HELD_OUT: parts.held_out, UNSEEN: parts.unseen}
    hidden = unseen_categories(categories, options.unseen, seed=options.seed)
    whole = EvaluationPlan(
        products=plan.products,
        labels=plan.labels,
        groups={name: mask for name, mask in groups.items() if mask.any()},
        unseen=sorted(hidden),
    )
    return whole.only(~parts.training) if options.index == HELD_OUT else whole
