"""Why a product is an answer: how similar each part of its vector is to the query's."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from backend.search.colour_weight import WeightedQuery
from backend.search.found import Neighbour, ScorePart
from backend.search.stored_vectors import StoredVectors


def explain(vectors: StoredVectors, query: WeightedQuery, items: Sequence[Neighbour]) -> None:
    """Give the items the parts of their scores; none for a point that is gone meanwhile."""
    stored = vectors.of(items)
    there = [item for item in items if item.point in stored]
    if not there:
        return
    found = query.similarities(np.array([stored[item.point] for item in there]))
    for place, item in enumerate(there):
        item.parts = tuple(
            [ScorePart(name, found[name][place], weight) for name, weight in query.weights.items()]
        )
