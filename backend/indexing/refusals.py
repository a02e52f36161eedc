"""Write points although the index refuses some: halve the batch until the bad one is alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from backend.errors import (
    ConfigurationError,
    IndexGone,
    IndexLocked,
    IndexRefused,
    IndexUnavailable,
    InvalidProduct,
    InvalidVector,
)
from backend.vectors import Point, VectorIndex

NO_REFUSALS: Final = (IndexGone, IndexLocked, InvalidVector, InvalidProduct)
"""Errors that are passed on unchanged: they already say what is wrong with the index, or which
points are wrong."""

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
    refusal = _upsert(index, points)
    if refusal is None:
        return {}
    index.ping()  # raises when the index is away
    return _halve(index, points, refusal) if len(points) > 1 else {points[0].id: refusal}


def _upsert(index: VectorIndex, points: Sequence[Point]) -> Exception | None:
    """Write points, or return why they are refused.

    Any exception may be a refusal: the engines' converters have many, and an engine may have no
    better word for what it cannot store than that it failed.
    """
    try:
        index.upsert(points)
    except NO_REFUSALS:
        raise
    except Exception as error:
        if isinstance(error, ConfigurationError) and not isinstance(error, IndexRefused):
            raise  # access is denied, or the index was made for other vectors
        return error
    return None


def _halve(index: VectorIndex, points: Sequence[Point], refusal: Exception) -> dict[int, Exception]:
    """Write the halves of a batch that was refused, and their halves, down to single points."""
    refused: dict[int, Exception] = {}
    accepted = 0
    parts = [points[: len(points) // 2], points[len(points) // 2 :]]
    while parts:
        part = parts.pop()
        error = _upsert(index, part)
        if error is None:
            accepted += len(part)
        elif len(part) == 1:
            refused[part[0].id] = error
        else:
            parts += [part[: len(part) // 2], part[len(part) // 2 :]]
        if not accepted and len(refused) >= min(SURE, len(points)):
            raise IndexUnavailable(f"the index refuses every point: {refusal}") from refusal
    return refused
