"""What a list is asked for, and what it is before its products are read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from itertools import chain
from typing import Final

from backend.filters import Where
from backend.recommendations.history import History
from backend.recommendations.listed_products import ListedProduct
from backend.recommendations.ranking import PlacedProducts
from backend.vectors import Vector

SPARE: Final = 3
"""Candidates of each taste, as a multiple of the list's length: filters and shares leave some."""

MOST_CANDIDATES: Final = 1_000
"""Candidates of each taste at most, however many a list asks for."""


class Strategy(StrEnum):
    """How examples become queries."""

    CLUSTERS = "clusters"  # one for each taste
    AVERAGE = "average"  # one for the mean of all examples
    BEST_SCORE = "best-score"  # one for each of the heaviest examples


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What a list is asked for. `explore` is the share of places for products nobody knows yet.

    `spare` is how many candidates each taste has, as a multiple of `limit`. `vectors` are those of
    examples without an indexed one: pending products, and images, whose ids are below 0.
    """

    history: History
    limit: int = 10
    spare: int = SPARE
    strategy: Strategy = Strategy.CLUSTERS
    where: Where = field(default_factory=dict)
    exclude: frozenset[int] = frozenset()
    explore: float = 0.0
    seed: str = ""  # the same seed on the same day explores the same products
    now: datetime | None = None  # None: as this host says
    vectors: Mapping[int, Vector] = field(default_factory=dict)

    @property
    def excluded(self) -> frozenset[int]:
        """The products that are not listed: also those of the examples."""
        examples = (it.product_id for it in self.history.examples)
        return self.exclude.union(it for it in examples if it > 0)

    @property
    def candidates(self) -> int:
        """How many candidates each taste has."""
        return min(self.spare * self.limit, max(MOST_CANDIDATES, SPARE * self.limit))


@dataclass(frozen=True, kw_only=True)
class List:
    """Candidates in the order of the list, more than it has places, and the tastes behind them.

    `rest` is called for those that follow `chosen`, if they are needed. `skus` are those of the
    examples, as far as they have been read.
    """

    chosen: Sequence[ListedProduct]
    tastes: Sequence[tuple[float, Sequence[int]]]  # share, and the examples' product ids
    rest: Callable[[], Iterable[ListedProduct]] = tuple
    skus: Mapping[int, str] = field(default_factory=dict)

    @property
    def product_ids(self) -> list[int]:
        """The candidates that `chosen` holds."""
        if isinstance(self.chosen, PlacedProducts):
            return self.chosen.product_ids
        return [it.product_id for it in self.chosen]

    def candidates(self) -> Iterator[ListedProduct]:
        """Yield each candidate once, and read the rest only when all others have been yielded."""
        taken: set[int] = set()
        for it in chain(self.chosen, _when_needed(self.rest)):
            if it.product_id not in taken:
                taken.add(it.product_id)
                yield it


def _when_needed(read: Callable[[], Iterable[ListedProduct]]) -> Iterator[ListedProduct]:
    yield from read()
