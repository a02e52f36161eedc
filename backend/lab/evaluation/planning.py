"""Which products are the index and which the queries; decided before anything is computed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from backend.errors import NotEvaluable
from backend.lab.evaluation.labels import CatalogueProduct, Labels, label
from backend.lab.evaluation.neighbours import Metric
from backend.lab.evaluation.splits import cap, draw, split, unseen_categories
from backend.lab.types import Mask, Positions

ALL, HELD_OUT, UNSEEN = "all", "held-out", "unseen"
"""The groups of queries: `all`, or the other two where there is a split."""


@dataclass(frozen=True, kw_only=True)
class EvaluationOptions:
    """The options of an evaluation. The seed decides all draws."""

    by: Sequence[str] = ("article_type", "base_colour+article_type")
    k: int = 5
    metric: Metric = "cosine"
    sample: int | None = None  # products, drawn; None: all
    per_category: int | None = None  # the most of each category of the first label
    queries: int | None = None  # None: every product that may be a query
    held_out: float = 0  # fraction of products that count as never trained on
    unseen: Sequence[str] | float = ()  # such categories of the first label, or a fraction
    index: Literal["all", "held-out"] = "all"  # held-out: without the training products
    seed: int = 0
    resamples: int = 1000
    timed: int = 64  # images to measure speed with; 0: speed is not measured

    @property
    def splits(self) -> bool:
        """Whether there are training products, which are never queries."""
        return self.held_out > 0 or bool(self.unseen) or self.index == HELD_OUT


@dataclass(frozen=True, kw_only=True)
class EvaluationPlan:
    """The products of the index, and which of them may be queries."""

    products: Sequence[CatalogueProduct]
    labels: Mapping[str, Labels]  # by label
    groups: Mapping[str, Mask]  # over the products
    unseen: Sequence[str] = ()  # categories

    def only(self, kept: Mask) -> EvaluationPlan:
        """Return the plan of the products where `kept` (products,) is true.

        Raises NotEvaluable for fewer than two.
        """
        positions = np.flatnonzero(kept)
        if len(positions) < 2:
            raise NotEvaluable("fewer than two products with an image can be evaluated")
        return EvaluationPlan(
            products=[self.products[position] for position in positions.tolist()],
            labels={by: labels.take(positions) for by, labels in self.labels.items()},
            groups={name: mask[positions] for name, mask in self.groups.items()},
            unseen=self.unseen,
        )

    def queries(self, options: EvaluationOptions) -> Positions:
        """Draw the queries: positions in `products`, rising. Raises NotEvaluable for none."""
        allowed = np.flatnonzero(np.any(list(self.groups.values()), axis=0))
        if not len(allowed):
            raise NotEvaluable("the split leaves no product to query")
        return np.sort(draw(allowed, options.queries, seed=options.seed))


def make_plan(products: Sequence[CatalogueProduct], options: EvaluationOptions) -> EvaluationPlan:
    """Draw the sample, limit its categories, split it. Raises NotEvaluable."""
    drawn = draw(np.arange(len(products)), options.sample, seed=options.seed)
    sample = [products[position] for position in drawn.tolist()]
    if not sample:
        raise NotEvaluable("the catalogue has no product with an image")
    labels = {by: label(sample, by) for by in options.by}
    plan = EvaluationPlan(products=sample, labels=labels, groups={ALL: np.ones(len(sample), bool)})
    plan = plan.only(cap(labels[options.by[0]].codes, options.per_category, seed=options.seed))
    return _split(plan, options) if options.splits else plan


def _split(plan: EvaluationPlan, options: EvaluationOptions) -> EvaluationPlan:
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
