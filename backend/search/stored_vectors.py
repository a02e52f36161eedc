"""The vectors of a list's products, each read once, whatever it is needed for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from backend.catalogue.image_vectors import STORED
from backend.queue.progress import State
from backend.search.found import Neighbour
from backend.vectors import Vector, VectorIndex
from backend.vectors.image_points import slot_of

_INDEXED: Final = State.INDEXED.value


class StoredVectors:
    """The vectors of points for one answer.

    What a row of a product has is taken from there: a vector as bytes costs a twentieth of one that
    the engine gives as a list of numbers. The others are read from the index.
    """

    def __init__(self, index: VectorIndex) -> None:
        self.size = index.size
        self._index = index
        self._known: dict[int, Vector] = {}

    def of(self, items: Sequence[Neighbour]) -> dict[int, Vector]:
        """Return the vectors by the points of some items; those that are gone are left out."""
        unknown = [item for item in items if item.point not in self._known]
        kept = [it for it in unknown if has_vector(it.product, slot=slot_of(it.point))]
        if kept:
            found = as_units([item.product.vector for item in kept])
            self._known |= zip([item.point for item in kept], found, strict=True)
        others = [item.point for item in unknown if item.point not in self._known]
        if others:
            self._known |= self._index.vectors(others)
        return self._known


def has_vector(row: Any, *, slot: int) -> bool:
    """Tell whether the row of a product has the vector of its point.

    That of a pending product may be newer than its point. Further images have other vectors.
    """
    return slot == 0 and bool(getattr(row, "vector", None)) and row.state == _INDEXED


def as_units(blobs: Sequence[bytes]) -> Vector:
    """Return vectors as SQL keeps them, (vectors, size), scaled to length 1 as an index does."""
    if not blobs:
        return np.zeros((0, 0), np.float32)
    found = np.frombuffer(b"".join(blobs), STORED).reshape(len(blobs), -1).astype(np.float64)
    lengths = np.linalg.norm(found, axis=1, keepdims=True)
    units: Vector = (found / lengths).astype(np.float32)
    return units
