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

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from backend.recommendations.pairs import Partners

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


@dataclass(kw_only=True)
class Parts:
    """What a candidate's score consists of."""

    own: float = 0.0  # it goes with the product itself
    look: float = 0.0  # it looks like the product
    inherited: float = 0.0  # it goes with products that look like it
    through: dict[int, float] = field(default_factory=dict)  # of `inherited`: by which neighbour

    @property
    def score(self) -> float:
        """The sum."""
        return self.own + self.look + self.inherited


def coldness(own: Partners) -> float:
    """Return how much the looks count: 1 for a product without pairs, 0 for one with very many."""
    return 1.0 / (1.0 + sum(own.values()) / WARM)


def closeness(cosine: float, kin: Traits, other: Traits) -> float:
    """Return k(q, j) of two products."""
    return max(0.0, cosine) ** 2 * kin.factor(other)


def score(
    own: Partners,
    neighbours: Sequence[tuple[int, float]],
    partners: Mapping[int, Partners],
    *,
    kin: Traits = NO_KIN,
    kin_of: Mapping[int, Traits] = MappingProxyType({}),
    excluded: frozenset[int] = frozenset(),
) -> dict[int, Parts]:
    """Return the parts of each candidate's score.

    `own` are the product's partners, `neighbours` (id, cosine) what looks like it, the nearest
    first, and `partners` those of the neighbours. `kin` is the product's own, `kin_of` that of the
    neighbours. The product itself belongs into `excluded`.
    """
    found: dict[int, Parts] = defaultdict(Parts)
    for other, times in own.items():
        found[other].own = share(times)
    cold = coldness(own)
    for neighbour, cosine in neighbours[:NEIGHBOURS]:
        close = cold * closeness(cosine, kin, kin_of.get(neighbour, NO_KIN))
        found[neighbour].look = LOOK * close
        for other, times in partners.get(neighbour, {}).items():
            added = close * share(times)
            found[other].inherited += added
            found[other].through[neighbour] = added
    return {product: parts for product, parts in found.items() if product not in excluded}


def share(times: float) -> float:
    """Return p(a, b) of two products that went together `times` times."""
    return times / (times + 1.0)
