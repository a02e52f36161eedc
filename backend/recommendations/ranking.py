"""The candidates of one taste, in order: by their looks, and by what goes with the examples.

They are many, and a list shows a few of them. So they are ranked as arrays, and why one of them is
a candidate is told only when it is read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, overload

import numpy as np
from numpy.typing import NDArray

from backend.recommendations.chosen import Because, Chosen, Reason
from backend.recommendations.formula import LOOK
from backend.recommendations.history import Example
from backend.recommendations.pairs import PairRows
from backend.recommendations.tastes import Taste

MOST_BECAUSE: Final = 3
"""Examples that are named of a product: those that contributed most."""


@dataclass(frozen=True)
class RankedTaste:
    """Candidates of a taste, best first: `ids`, and of each what its looks and its pairs add.

    `pairs` are those of the taste's examples, `shares` what each of them adds.
    """

    taste: Taste
    members: Sequence[Example]
    ids: NDArray[np.int64]
    look: NDArray[np.float64]
    together: NDArray[np.float64]
    pairs: PairRows
    shares: NDArray[np.float64]

    def looking(self) -> NDArray[np.int64]:
        """Return the places of those of which the looks count most."""
        return np.flatnonzero(self.look >= self.together)

    def chosen(self, at: int, reason: Reason | None = None) -> Chosen:
        """Return a candidate with its reason, and the examples that it comes from."""
        look, together = float(self.look[at]), float(self.together[at])
        reason = reason or (Reason.LOOK if look >= together else Reason.TOGETHER)
        because = self._because(int(self.ids[at]), look)
        return Chosen(int(self.ids[at]), look + together, reason, because)

    def _because(self, product: int, look: float) -> list[Because]:
        """Return which examples a score comes from: the looks from all of the taste, by weight."""
        shares = {it.product_id: look * it.weight / self.taste.weight for it in self.members}
        rows = np.flatnonzero(self.pairs.other == product)
        for example, added in zip(self.pairs.product[rows], self.shares[rows], strict=True):
            shares[int(example)] = shares.get(int(example), 0.0) + float(added)
        total = sum(shares.values()) or 1.0
        best = sorted(shares.items(), key=lambda it: -it[1])[:MOST_BECAUSE]
        return [Because(it, round(share / total, 4)) for it, share in best]


def rank(
    taste: Taste,
    members: Sequence[Example],
    looks: Mapping[int, float],
    pairs: PairRows,
) -> RankedTaste:
    """Rank what looks like a taste ({product: cosine}), and what goes with its examples."""
    own = pairs.of([it.product_id for it in members])
    weights = {it.product_id: it.weight / taste.weight for it in members}
    shares = np.array([weights[it] for it in own.product.tolist()]) * own.times / (own.times + 1.0)
    near = np.fromiter(looks.keys(), np.int64, len(looks))
    cosines = np.fromiter(looks.values(), np.float64, len(looks))
    ids = np.union1d(near, own.other)
    look = np.zeros(len(ids))
    look[np.searchsorted(ids, near)] = LOOK * np.maximum(0.0, cosines) ** 2
    together = np.zeros(len(ids))
    np.add.at(together, np.searchsorted(ids, own.other), shares)
    order = np.lexsort((ids, -(look + together)))
    return RankedTaste(taste, members, ids[order], look[order], together[order], own, shares)


@dataclass(frozen=True, slots=True)
class RankedProduct:
    """A product of a list: a candidate of a taste. Without `reason`, its score tells the reason."""

    product_id: int
    ranked: RankedTaste
    at: int
    reason: Reason | None = None


class Places(Sequence[Chosen]):
    """A list whose products get their reasons when they are read."""

    def __init__(self, places: Sequence[RankedProduct], rest: Sequence[Chosen] = ()) -> None:
        self._places, self._rest = places, rest

    def __len__(self) -> int:
        return len(self._places) + len(self._rest)

    @overload
    def __getitem__(self, at: int) -> Chosen: ...

    @overload
    def __getitem__(self, at: slice) -> list[Chosen]: ...

    def __getitem__(self, at: int | slice) -> Chosen | list[Chosen]:
        return list(self)[at]

    def __iter__(self) -> Iterator[Chosen]:
        for place in self._places:
            yield place.ranked.chosen(place.at, place.reason)
        yield from self._rest

    @property
    def product_ids(self) -> list[int]:
        """The products, without their reasons."""
        return [*(it.product_id for it in self._places), *(it.product_id for it in self._rest)]
