"""Write points although the index refuses some: halve the batch until the bad one is alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from backend.errors import IndexGone, IndexLocked, IndexRefused, IndexUnavailable
from backend.vectors import Point, VectorIndex

REFUSALS: Final = (
    IndexRefused,
    IndexUnavailable,  # an engine may have no other word for what it cannot store
    TypeError,  # the engines' converters, which no check of ours can foresee in full
    ValueError,
    OverflowError,
    RecursionError,
)

SURE: Final = 8
"""Points refused one by one, none accepted, after which it is the index that does not work."""


def upsert_apart(index: VectorIndex, points: Sequence[Point]) -> dict[int, Exception]:
    """Write points; return {id of a point: why the index refuses it}.

    Raises what the index raises when it does not answer, and IndexUnavailable when it refuses every
    point: then the points are not at fault. Also raises InvalidVector and InvalidProduct, which
    name all points that they concern.
    """
    if not points:
        return {}
    try:
        index.upsert(points)
    except (IndexGone, IndexLocked):
        raise
    except REFUSALS as error:
        index.ping()  # raises when the index is away
        if len(points) == 1:
            return {points[0].id: error}
        return _halve(index, points, error)
    return {}


def _halve(index: VectorIndex, points: Sequence[Point], refusal: Exception) -> dict[int, Exception]:
    """Write the halves of a batch that was refused, and their halves, down to single points."""
    refused: dict[int, Exception] = {}
    accepted = 0
    parts = [points[: len(points) // 2], points[len(points) // 2 :]]
    while parts:
        part = parts.pop()
        try:
            index.upsert(part)
            accepted += len(part)
        except (IndexGone, IndexLocked):
            raise
        except REFUSALS as error:
            if len(part) == 1:
                refused[part[0].id] = error
            else:
                parts += [part[: len(part) // 2], part[len(part) // 2 :]]
        if not accepted and len(refused) >= min(SURE, len(points)):
            raise IndexUnavailable(f"the index refuses every point: {refusal}") from refusal
    return refused
