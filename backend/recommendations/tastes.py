"""The tastes of a shopper: groups of liked products that look alike.

Somebody who looks at boots and at summer dresses must not get what lies between the two: each taste
has a vector of its own, and a share of the list by its weight.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from backend.vectors import Vector

MOST_TASTES: Final = 5
APART: Final = -2.0
"""Stands for the cosine of a group with itself."""

TINY: Final = 1e-24  # of the squares of lengths: a group's vectors may cancel each other

MOST_EXAMPLES: Final = 30
"""The heaviest examples that are grouped."""


@dataclass(frozen=True)
class Taste:
    """A group of examples: its mean vector at length 1, its weight, and who is in it."""

    vector: Vector
    weight: float
    members: Sequence[int]  # positions of the examples, the heaviest first


def average(vectors: Sequence[Vector], weights: Sequence[float]) -> list[Taste]:
    """Return one taste: the weighted mean of all examples."""
    return [_taste(range(len(vectors)), vectors, weights)] if vectors else []


def each(vectors: Sequence[Vector], weights: Sequence[float]) -> list[Taste]:
    """Return a taste for each of the heaviest examples."""
    return [_taste([at], vectors, weights) for at in _heaviest(weights)[:MOST_TASTES]]


def clusters(
    vectors: Sequence[Vector], weights: Sequence[float], *, least_cosine: float
) -> list[Taste]:
    """Return the groups of examples, the heaviest first, at most MOST_TASTES.

    The two groups whose means are closest are joined, until no two have a cosine of `least_cosine`,
    which is above 0 (agglomerative clustering with centroids).
    """
    groups = [[at] for at in _heaviest(weights)[:MOST_EXAMPLES]]
    if not groups:
        return []
    sums = np.stack([weights[at] * vectors[at] for (at,) in groups])
    products = (sums @ sums.T).astype(np.float64)  # of the sums of all groups with each other
    scales = np.maximum(products.diagonal(), TINY) ** -0.5  # 0 for a group that was joined
    cosines = products * scales * scales[:, None]
    np.fill_diagonal(cosines, APART)
    for _ in range(len(groups) - 1):
        closest = int(cosines.argmax())
        if cosines.item(closest) < least_cosine:
            break
        one, other = divmod(closest, len(cosines))  # the smaller one first: `argmax` is the first
        groups[one] += groups[other]
        groups[other] = []
        both = products[one]
        both += products[other]
        both[one] += both[other]
        products[:, one] = both
        scales[other], scales[one] = 0.0, max(both[one], TINY) ** -0.5
        joined = both * scales
        joined *= scales[one]
        joined[one] = APART
        cosines[one] = cosines[:, one] = joined
        cosines[other] = cosines[:, other] = 0.0
    found = [
        _taste(sorted(group, key=lambda at: -weights[at]), vectors, weights)
        for group in groups
        if group
    ]
    return sorted(found, key=lambda taste: -taste.weight)[:MOST_TASTES]


def share_places(tastes: Sequence[Taste], places: int) -> list[int]:
    """Return for each place of a list which taste fills it, so that all get their share soon.

    The next place goes to the taste that is furthest behind its share (Webster/Sainte-Laguë).
    """
    filled = [0] * len(tastes)
    order = []
    for _ in range(places if tastes else 0):
        quotients = [taste.weight / (2 * n + 1) for taste, n in zip(tastes, filled, strict=True)]
        chosen = quotients.index(max(quotients))
        filled[chosen] += 1
        order.append(chosen)
    return order


def _heaviest(weights: Sequence[float]) -> list[int]:
    return sorted(range(len(weights)), key=lambda at: -weights[at])


def _taste(members: Sequence[int], vectors: Sequence[Vector], weights: Sequence[float]) -> Taste:
    held = [weights[at] for at in members]
    mean = np.array(held, np.float32) @ np.stack([vectors[at] for at in members])
    length = float(np.linalg.norm(mean))
    vector = mean / length if length > 0 else vectors[members[0]]
    return Taste(vector.astype(np.float32), sum(held), list(members))
