"""The kinds of events, and how much each tells of a shopper's taste and of a product."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final


class Kind(StrEnum):
    """What a shopper did with a product."""

    VIEW = "view"
    CLICK = "click"
    CART = "cart"
    PURCHASE = "purchase"
    LIKE = "like"
    RETURN = "return"
    DISLIKE = "dislike"
    IMPRESSION = "impression"  # it was shown to the shopper


TASTE: Final[Mapping[Kind, float]] = {
    Kind.VIEW: 1.0,
    Kind.CLICK: 1.0,
    Kind.CART: 3.0,
    Kind.LIKE: 4.0,
    Kind.PURCHASE: 5.0,
    Kind.RETURN: -3.0,
    Kind.DISLIKE: -4.0,
    Kind.IMPRESSION: 0.0,
}
"""What an event says of its shopper's taste: more than 0 for, less against the product.

The order is what matters: an act that costs more effort or money tells more. The figures are ours.
"""

STRENGTH: Final[Mapping[Kind, float]] = {
    Kind.VIEW: 0.2,
    Kind.CLICK: 0.2,
    Kind.CART: 0.6,
    Kind.LIKE: 0.4,
    Kind.PURCHASE: 1.0,
}
"""What an event adds to its product's popularity, and to its pairs: two purchases in one basket
count 1. Kinds that are absent count nothing."""

SEEN: Final = frozenset({Kind.VIEW, Kind.CLICK, Kind.CART, Kind.LIKE, Kind.PURCHASE, Kind.DISLIKE})
"""After these the shopper knows the product."""

BOUGHT: Final = frozenset({Kind.PURCHASE})
