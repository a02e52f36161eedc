"""How old events count less: forward decay (Cormode, Shkapenyuk, Srivastava and Xu 2009).

An event at the time t adds 2^((t - LANDMARK) / HALF_LIFE) to a sum. Sums of events of any age can
be added without reading them first; dividing by the same factor for the present gives the sum in
which an event counts half after HALF_LIFE. A double holds such sums for more than 200 years.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
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
