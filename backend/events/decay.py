"""How old events count less: forward decay (Cormode, Shkapenyuk, Srivastava and Xu 2009).

An event at the time t adds 2^((t - LANDMARK) / HALF_LIFE) to a sum. Sums of events of any age can
be added without reading them first; dividing by the same factor for the present gives the sum in
which an event counts half after HALF_LIFE. A double holds such sums for more than 200 years.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import log2
from typing import Final

LANDMARK: Final = datetime(2020, 1, 1, tzinfo=UTC)
HALF_LIFE: Final = timedelta(days=90)
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def growth(at: datetime) -> float:
    """Return the factor of an event at a time; at the present, what sums are divided by."""
    factor: float = 2.0 ** ((at - LANDMARK) / HALF_LIFE)
    return factor


def day_of(at: datetime) -> int:
    """Return the number of a day in UTC, 0 for the first of 1970."""
    return (at - EPOCH).days


@dataclass(frozen=True)
class Decay:
    """Sums of events of which each counts half after some time, as logarithms to the base 2.

    So a sum with a short half-life never grows too large for a double, and no sum changes when time
    passes: what was larger stays larger.
    """

    half_life: timedelta

    def level(self, amount: float, at: datetime) -> float:
        """Return the sum that one event of this amount makes."""
        return log2(amount) + (at - LANDMARK) / self.half_life

    def amount(self, level: float, now: datetime) -> float:
        """Return what a sum is at a time; 0 where it is too small for a double."""
        exponent = level - (now - LANDMARK) / self.half_life
        return float(2.0 ** min(exponent, 1000.0)) if exponent > -1000 else 0.0


def added(one: float, other: float) -> float:
    """Return the logarithm of the sum of two sums that are given as logarithms."""
    larger, smaller = max(one, other), min(one, other)
    return larger + log2(1.0 + 2.0 ** max(smaller - larger, -1000.0))


POPULAR: Final = Decay(timedelta(days=30))
TRENDING: Final = Decay(timedelta(days=2))
