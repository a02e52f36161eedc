"""The order of a list by similarity, boosts, and how much its products differ.

With r the similarity plus the boosts, the list begins with the greatest r. Each next product has
the greatest (1 - d) * r - d * s, where s is the greatest cosine of its vector to one in the list,
and d the diversity (maximal marginal relevance, Carbonell and Goldstein 1998). Without diversity
that is the order by r. It is computed here and not by the store, so every store gives the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final

import numpy as np
import numpy.typing as npt

from backend.search.boosting import FRESHNESS, Boost, adding, columns_of_boosts
from backend.search.found import Neighbour
from backend.search.judging import ByValues
from backend.search.shaping import Shaping
from backend.search.stored_vectors import StoredVectors

POOL_TIMES: Final = 5
MOST_POOL: Final = 300

MOST_AMOUNTS: Final = 64
"""Combinations of boosts for which it is kept what they add to which values."""


def pool_of(limit: int, shaping: Shaping) -> int:
    """Return how many products are put in order, to show `limit` of them."""
    if not shaping.reorders:
        return limit
    return max(limit, min(POOL_TIMES * limit, MOST_POOL))


def reordered(
    vectors: StoredVectors,
    items: Sequence[Neighbour],
    relevances: Sequence[float],
    shaping: Shaping,
    *,
    limit: int,
    now: datetime,
) -> list[tuple[int, Neighbour]]:
    """Return the best `limit` items, each after its place in `items`; notes their boosts.

    `relevances` take the place of similarities in r. What rules add to an item is its `boost`.
    """
    if not shaping.reorders:
        return list(enumerate(items[:limit]))
    if shaping.boost:
        amount = _amount_of(tuple(shaping.boost), now)
        for item, added in zip(items, amount.each([it.product for it in items]), strict=True):
            item.boost = (item.boost or 0.0) + added
    r = np.array([it + (item.boost or 0.0) for it, item in zip(relevances, items, strict=True)])
    if shaping.diversity and len(items) > 1:
        order = _diverse(r, _as_array(vectors, items), shaping.diversity, limit)
    else:
        order = list(np.argsort(-r, kind="stable")[:limit])
    return [(int(at), items[at]) for at in order]


def _amount_of(boosts: tuple[Boost, ...], now: datetime) -> ByValues[float]:
    """Return what finds how much boosts add: the same one as before, unless the time counts."""
    if any(it.field == FRESHNESS for it in boosts):
        return ByValues(columns_of_boosts(boosts), adding(boosts, now=now))
    return _timeless_amount(boosts)


@lru_cache(maxsize=MOST_AMOUNTS)
def _timeless_amount(boosts: tuple[Boost, ...]) -> ByValues[float]:
    return ByValues(columns_of_boosts(boosts), adding(boosts, now=datetime.now(UTC)))


def _as_array(vectors: StoredVectors, items: Sequence[Neighbour]) -> npt.NDArray[np.float32]:
    """Return the vectors of the items' points, (items, size); zeros where a point is gone."""
    stored, nothing = vectors.of(items), np.zeros(vectors.size, np.float32)
    rows = [stored.get(item.point, nothing) for item in items]
    return np.concatenate(rows).reshape(len(rows), -1)  # `stack` looks at each of them


def _diverse(
    r: npt.NDArray[np.float64], vectors: npt.NDArray[np.float32], diversity: float, limit: int
) -> list[int]:
    """Return the positions of the list in the order of choice.

    Each choice is compared with all: that is less work than all with all, since few are chosen.
    """
    gains, order = (1 - diversity) * r, [int(np.argmax(r))]
    closest = np.full(len(r), -np.inf)
    for _ in range(min(limit, len(r)) - 1):
        last = order[-1]
        gains[last] = -np.inf  # it is in the list
        np.maximum(closest, _cosines(vectors, last), out=closest)
        order.append(int((gains - diversity * closest).argmax()))
    return order


def _cosines(vectors: npt.NDArray[np.float32], place: int) -> npt.NDArray[np.float32]:
    """Return the cosines of all vectors to one of them.

    Not by `@`: that wakes the threads of BLAS for 50 vectors of 508 numbers, and they wait for each
    other where other requests run.
    """
    found: npt.NDArray[np.float32] = np.vecdot(vectors, vectors[place])
    return found
