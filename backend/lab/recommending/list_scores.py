"""Figures of lists, with intervals over shoppers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from backend.lab.evaluation.intervals import Estimate, estimates
from backend.lab.types import Floats
from backend.search import ranking

COUNTED: Final = ("hit", "recall", "ndcg")
"""Higher is better."""

DESCRIBED: Final = ("novelty", "cold_share")
"""What kind of products are listed; over the lists that are not empty."""


@dataclass(frozen=True, kw_only=True)
class ListScore:
    """The score of one contender for one group of shoppers.

    hit: whether one of the first k is right; recall: the share of the right ones that is in the
    list; ndcg: with places. novelty: mean of -log2 of the products' shares of all events, in bits.
    cold_share: of the list, products without an event before.
    """

    contender: str
    metrics: Mapping[str, Estimate]
    lead: Mapping[str, Estimate]  # over the first contender, shopper by shopper
    coverage: float  # share of the catalogue that is in some list
    empty: int  # lists without a product


@dataclass(frozen=True, kw_only=True)
class ListJudge:
    """What lists are judged by: how many events each product had before, and of how many."""

    events: Mapping[int, int]
    products: int
    k: int
    seed: int

    def scores(
        self, lists: Mapping[str, Sequence[Sequence[int]]], right: Sequence[frozenset[int]]
    ) -> list[ListScore]:
        """Score the lists of each contender against the right products of each shopper."""
        counted = {name: self._counted(each, right) for name, each in lists.items()}
        first = next(iter(counted.values()))
        return [
            self._score(name, each, counted[name], counted[name] - first)
            for name, each in lists.items()
        ]

    def _counted(self, lists: Sequence[Sequence[int]], right: Sequence[frozenset[int]]) -> Floats:
        """Return COUNTED of each list, (shoppers, 3)."""
        hits = np.zeros((len(lists), self.k), bool)
        for row, (each, wanted) in enumerate(zip(lists, right, strict=True)):
            hits[row, : len(each)] = [product in wanted for product in each]
        many = np.array([len(wanted) for wanted in right])
        recall, ndcg = ranking.recall_at_k(hits, many), ranking.ndcg_at_k(hits, many)
        return np.stack([hits.any(axis=1).astype(np.float64), recall, ndcg], axis=1)

    def _score(
        self, name: str, lists: Sequence[Sequence[int]], counted: Floats, lead: Floats
    ) -> ListScore:
        found = estimates(np.hstack([counted, lead]), seed=self.seed)
        listed = [each for each in lists if each]
        described = [self._described(each) for each in listed] or [[np.nan, np.nan]]
        more = estimates(np.array(described), seed=self.seed)
        metrics = zip((*COUNTED, *DESCRIBED), [*found[: len(COUNTED)], *more], strict=True)
        return ListScore(
            contender=name,
            metrics=dict(metrics),
            lead=dict(zip(COUNTED, found[len(COUNTED) :], strict=True)),
            coverage=len({product for each in lists for product in each}) / self.products,
            empty=len(lists) - len(listed),
        )

    def _described(self, products: Sequence[int]) -> list[float]:
        total = sum(self.events.values()) + self.products
        counts = np.array([self.events.get(it, 0) for it in products])
        return [float(-np.log2((counts + 1) / total).mean()), float((counts == 0).mean())]
