"""Why a product is an answer: how similar each part of its vector is to the query's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from backend.search.dial import Weighed
from backend.search.found import Neighbour, ScorePart
from backend.search.stored_vectors import StoredVectors
from backend.vectors import Vector


def explain(vectors: StoredVectors, query: Weighed, items: Sequence[Neighbour]) -> list[Neighbour]:
    """Return the items with the parts of their scores; none for a point that is gone meanwhile."""
    stored = vectors.of(items)
    return [
        replace(item, parts=_parts(query, stored[item.point])) if item.point in stored else item
        for item in items
    ]


def _parts(query: Weighed, stored: Vector) -> tuple[ScorePart, ...]:
    found = query.similarities(stored)
    return tuple(ScorePart(name, found[name], weight) for name, weight in query.weights.items())
