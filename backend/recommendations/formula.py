"""What goes with a product: its own pairs; as long as it has few, what it looks like tells.

For a product q and a candidate x, with p(a, b) = n / (n + 1) for two products that went together n
times (old times count less):

    score(x) = p(q, x) + cold(q) * (LOOK * k(q, x) + sum over j of k(q, j) * p(j, x))

k(q, j) is the square of the cosine similarity, times VARIANT for two variants of one product, times
OTHER_GENDER and OTHER_TYPE where these differ. The sum is over the NEIGHBOURS products that look
most like q: a new product inherits what its visual neighbours go with. cold(q) = 1 / (1 + N / WARM)
falls from 1 to 0 as q's own pairs grow, N times in all. So one formula ranks for new products and
for old ones.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from backend.recommendations.pairs import PairRows, Partners

NEIGHBOURS: Final = 100
LOOK: Final = 0.75
VARIANT: Final = 4.0
OTHER_GENDER: Final = 0.5
OTHER_TYPE: Final = 0.7
WARM: Final = 5.0


@dataclass(frozen=True)
class Traits:
    """What a product says of its relations; None: it does not."""

    group: str | None = None
    gender: str | None = None
    article_type: str | None = None

    def factor(self, other: Traits) -> float:
        """Return how much more, or less, two products have in common than their looks tell."""
        found = VARIANT if self.group is not None and self.group == other.group else 1.0
        if None not in (self.gender, other.gender) and self.gender != other.gender:
            found *= OTHER_GENDER
        if None not in (self.article_type, other.article_type):
            found *= 1.0 if self.article_type == other.article_type else OTHER_TYPE
        return found


NO_KIN: Final = Traits()


class ColdScores(NamedTuple):
    """What candidates have in common with a cold product, as arrays, by their ids."""

    product: NDArray[np.int64]
    look: NDArray[np.float64]  # it looks like the product
    inherited: NDArray[np.float64]  # it goes with products that look like it
    through: NDArray[np.int64]  # the neighbour that adds most of what is inherited; 0: none does
    added: NDArray[np.float64]  # what this one adds


def coldness(own: Partners) -> float:
    """Return how much the looks count: 1 for a product without pairs, 0 for one with very many."""
    return 1.0 / (1.0 + sum(own.values()) / WARM)


def closeness(cosine: float, kin: Traits, other: Traits) -> float:
    """Return k(q, j) of two products."""
    return max(0.0, cosine) ** 2 * kin.factor(other)


def score_cold(
    neighbours: Sequence[tuple[int, float]],
    pairs: PairRows,
    *,
    kin: Traits = NO_KIN,
    kin_of: Mapping[int, Traits] = MappingProxyType({}),
    excluded: int = 0,
) -> ColdScores:
    """Return the parts of each candidate's score that do not depend on the product's own pairs.

    `neighbours` (id, cosine) are what looks like the product, the nearest first, and `pairs` those
    of the neighbours. `kin` is the product's own, `kin_of` that of the neighbours. `excluded` is
    the product itself.
    """
    near = sorted(neighbours[:NEIGHBOURS])
    ids = np.array([it[0] for it in near], np.int64)
    close = np.array([closeness(it[1], kin, kin_of.get(it[0], NO_KIN)) for it in near])
    added = close[ids.searchsorted(pairs.product)] * pairs.times / (pairs.times + 1.0)
    product, at = np.unique(np.concatenate((ids, pairs.other)), return_inverse=True)
    of_pairs = at[len(ids) :]
    look, most = np.zeros(len(product)), np.zeros(len(product))
    look[at[: len(ids)]] = LOOK * close
    inherited = np.bincount(of_pairs, added, minlength=len(product)).astype(np.float64, copy=False)
    order = added.argsort(kind="stable")  # of equal indexes the last one is kept
    through = np.zeros(len(product), np.int64)
    through[of_pairs[order]], most[of_pairs[order]] = pairs.product[order], added[order]
    kept = product != excluded
    return ColdScores(*(it[kept] for it in (product, look, inherited, through, most)))


def share(times: float) -> float:
    """Return p(a, b) of two products that went together `times` times."""
    return times / (times + 1.0)
