"""The neighbours of one query that pass its filter now, collected round by round.

Hits that do not pass any more are replaced by further ones.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Final

from backend.search.found import Neighbour, Rows, neighbours
from backend.search.nearest_products import MOST_TIMES
from backend.search.recall_monitor import Search
from backend.vectors import Hit, VectorIndex
from backend.vectors.image_points import point_ids, product_of

SLACK: Final = 8
"""Neighbours requested beyond the limit: they replace hits that do not pass any more."""

REFILLS: Final = 3
"""How often more neighbours are requested when those do not suffice, each time GROWTH times as
many: only while the index lags behind a change of many products."""

GROWTH: Final = 4

FEW: Final = 16
"""Up to so many points are left out by asking for as many more. A filter of ids makes a search of
the graph a third slower."""

Passes = Callable[[Callable[[str], Any]], bool]


class Collecting:
    """What one query has found so far. `ask` and `take` by turns until `is_over`."""

    def __init__(
        self, search: Search, *, limit: int, min_score: float | None, passes: Passes | None
    ) -> None:
        self.search = search
        self.min_score = min_score
        self.is_over = False
        self._limit = limit
        self._passes = passes
        self._images = search.generation.most_images or 1
        self._items: dict[int, Neighbour] = {}
        self._seen: dict[int, None] = {}  # products, in the order in which they were found
        self._wanted = limit + SLACK
        self._rounds = 0
        self._hits: list[Hit] = []

    @property
    def points(self) -> int:
        """How many points the first round asks for, where nothing is left out."""
        more = self._left_out if self._left_out <= FEW else 0
        return self._wanted * min(self._images, MOST_TIMES) + more

    @property
    def _left_out(self) -> int:
        return len(self.search.exclude) * self._images

    @property
    def exclude(self) -> list[int]:
        """The points that this round leaves out by the index's filter."""
        left_out = () if self._left_out <= FEW and not self._rounds else self.search.exclude
        return point_ids([*left_out, *self._seen], self._images)

    def ask(self, index: VectorIndex) -> None:
        """Search once more."""
        asked = self.points
        hits = index.nearest(
            self.search.vector,
            limit=asked,
            where=self.search.where,
            exclude=self.exclude,
            min_score=self.min_score,
            mode=self.search.mode,
            payloads=False,
        )
        self.receive(hits, asked=asked)

    def receive(self, hits: Sequence[Hit], *, asked: int) -> None:
        """Note what a search for so many points has found."""
        unwanted = frozenset(self.search.exclude)
        self._hits = [hit for hit in hits if product_of(hit.id) not in unwanted]
        self._seen |= dict.fromkeys(product_of(hit.id) for hit in self._hits)
        self._rounds += 1
        self.is_over = len(hits) < asked or self._rounds > REFILLS
        self._wanted *= GROWTH

    @property
    def product_ids(self) -> Collection[int]:
        """The products of the last hits, whose rows `take` needs."""
        return {product_of(hit.id) for hit in self._hits}

    def take(self, rows: Mapping[int, Rows], *, images: bool) -> None:
        """Add the hits that pass, by the rows of their products."""
        for one in neighbours(self._hits, rows, images=images):
            if not self._passes or self._passes(one.value_of):
                self._items.setdefault(one.product.id, one)  # by its nearest image
            if len(self._items) == self._limit:
                self.is_over = True
                return

    @property
    def items(self) -> list[Neighbour]:
        """The neighbours, best first."""
        return list(self._items.values())

    @property
    def lags(self) -> bool:
        """Whether fewer came than the index has."""
        return len(self._items) < min(self._limit, len(self._seen))
