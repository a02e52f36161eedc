"""The candidates of one taste, in order: by their looks, and by what goes with the examples.

They are many, and a list shows a few of them. So they are ranked as arrays, and why one of them is
a candidate is told only when it is read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final, overload

import numpy as np
from numpy.typing import NDArray

from backend.recommendations.formula import LOOK
from backend.recommendations.history import Example
from backend.recommendations.listed_products import Because, ListedProduct, Reason
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

    def chosen(self, at: int, reason: Reason | None = None) -> ListedProduct:
        """Return a candidate with its reason, and the examples that it comes from."""
        look, together = float(self.look[at]), float(self.together[at])
        reason = reason or (Reason.LOOK if look >= together else Reason.TOGETHER)
        product, total = int(self.ids[at]), look + together
        return ListedProduct(product, total, reason, self._because(product, look, total or 1.0))

    def _because(self, product: int, look: float, total: float) -> list[Because]:
        """Return which examples a score comes from: the looks from all of the taste, by weight.

        Of those that go with the product, all may count most; of the others, only the heaviest.
        """
        if total == look:  # no example goes with it
            return self._by_look
        rows = (self.pairs.other == product).nonzero()[0]
        together = dict(
            zip(self.pairs.product[rows].tolist(), self.shares[rows].tolist(), strict=True)
        )
        look /= self.taste.weight
        heaviest = self.members[: MOST_BECAUSE + len(together)]
        shares = {it.product_id: look * it.weight for it in heaviest}
        for example, share in together.items():
            known = shares.get(example)
            shares[example] = share + (look * self._weights[example] if known is None else known)
        best = sorted(shares.items(), key=_share, reverse=True)[:MOST_BECAUSE]
        return [Because(it, round(share / total, 4)) for it, share in best]

    @cached_property
    def _by_look(self) -> list[Because]:
        heaviest, whole = self.members[:MOST_BECAUSE], self.taste.weight
        return [Because(it.product_id, round(it.weight / whole, 4)) for it in heaviest]

    @cached_property
    def _weights(self) -> dict[int, float]:
        return {it.product_id: it.weight for it in self.members}


def _share(item: tuple[int, float]) -> float:
    return item[1]


def rank(
    taste: Taste,
    members: Sequence[Example],
    looks: Mapping[int, float],
    pairs: PairRows,
) -> RankedTaste:
    """Rank what looks like a taste ({product: cosine}), and what goes with its examples."""
    own = pairs.of([it.product_id for it in members])
    by_id = sorted((it.product_id, it.weight / taste.weight) for it in members)
    examples, weights = (np.array(it) for it in zip(*by_id, strict=True))
    shares = weights[examples.searchsorted(own.product)] * own.times / (own.times + 1.0)
    near = np.fromiter(looks.keys(), np.int64, len(looks))
    cosines = np.fromiter(looks.values(), np.float64, len(looks))
    ids, at = np.unique(np.concatenate((near, own.other)), return_inverse=True)
    look = np.zeros(len(ids))
    look[at[: len(near)]] = LOOK * np.maximum(0.0, cosines) ** 2
    of_pairs = np.bincount(at[len(near) :], weights=shares, minlength=len(ids))
    together = of_pairs.astype(np.float64, copy=False)
    order = (-(look + together)).argsort(kind="stable")
    return RankedTaste(taste, members, ids[order], look[order], together[order], own, shares)


@dataclass(frozen=True, slots=True)
class RankedProduct:
    """A product of a list: a candidate of a taste. Without `reason`, its score tells the reason."""

    product_id: int
    ranked: RankedTaste
    at: int
    reason: Reason | None = None


class PlacedProducts(Sequence[ListedProduct]):
    """A list whose products get their reasons when they are read."""

    def __init__(self, places: Sequence[RankedProduct], rest: Sequence[ListedProduct] = ()) -> None:
        self._places, self._rest = places, rest

    def __len__(self) -> int:
        return len(self._places) + len(self._rest)

    @overload
    def __getitem__(self, at: int) -> ListedProduct: ...

    @overload
    def __getitem__(self, at: slice) -> list[ListedProduct]: ...

    def __getitem__(self, at: int | slice) -> ListedProduct | list[ListedProduct]:
        return list(self)[at]

    def __iter__(self) -> Iterator[ListedProduct]:
        for place in self._places:
            yield place.ranked.chosen(place.at, place.reason)
        yield from self._rest

    @property
    def product_ids(self) -> list[int]:
        """The products, without their reasons."""
        return [*(it.product_id for it in self._places), *(it.product_id for it in self._rest)]
