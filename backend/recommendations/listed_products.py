"""What lists are made of before their products are read: ids, with a score and a reason."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum


class Reason(StrEnum):
    """Why a product is in a list."""

    LOOK = "look"  # it looks like an example
    TOGETHER = "together"  # it goes with an example
    INHERITED = "inherited"  # it goes with what looks like the example
    CATEGORY = "category"  # its category goes with the example's, and it looks like the example
    EXPLORED = "explored"  # it looks like an example, and nobody has done anything with it yet
    POPULAR = "popular"
    TRENDING = "trending"
    NEW = "new"


@dataclass(frozen=True, slots=True)
class Because:
    """A product that contributed to a score, and how much."""

    product_id: int
    share: float  # of the score, 0 to 1


@dataclass(frozen=True, slots=True)
class ListedProduct:
    """A product of a list. Scores of one list can be compared with each other, no others."""

    product_id: int
    score: float
    reason: Reason
    because: Sequence[Because] = ()
