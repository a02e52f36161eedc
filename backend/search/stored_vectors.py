"""The vectors of a list's products, each read once, whatever it is needed for."""

from __future__ import annotations

from collections.abc import Sequence

from backend.search.found import Neighbour
from backend.vectors import Vector, VectorIndex


class StoredVectors:
    """Reads the vectors of points for one answer, and keeps them."""

    def __init__(self, index: VectorIndex) -> None:
        self.size = index.size
        self._index = index
        self._known: dict[int, Vector] = {}

    def of(self, items: Sequence[Neighbour]) -> dict[int, Vector]:
        """Return the vectors by the points of some items; those that are gone are left out."""
        unknown = [item.point for item in items if item.point not in self._known]
        if unknown:
            self._known |= self._index.vectors(unknown)
        return self._known
