"""The vectors of a list's products, each read once, whatever it is needed for."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from itertools import islice
from threading import Lock
from typing import Any, Final
from weakref import WeakKeyDictionary

import numpy as np

from backend.catalogue.image_vectors import STORED
from backend.database.reader import Reader
from backend.search import statements
from backend.search.found import Neighbour
from backend.vectors import Vector, VectorIndex
from backend.vectors.image_points import STRIDE

MOST_BYTES: Final = 32 * 2**20
"""Of the vectors that are kept for one index."""


class StoredVectors:
    """The vectors of points for one answer.

    With a `reader`, what the row of a product names by `embedded_digest` is read from SQL, and kept
    for further answers: a vector as bytes costs a twentieth of one that the engine gives as a list
    of numbers. The others are read from the index.
    """

    def __init__(
        self, index: VectorIndex, reader: Reader | None = None, fingerprint: str = ""
    ) -> None:
        self.size = index.size
        self._index = index
        self._reader = reader
        self._fingerprint = fingerprint
        self._known: dict[int, Vector] = {}  # by the ids of points

    def of(self, items: Sequence[Neighbour]) -> dict[int, Vector]:
        """Return the vectors, (size,) each, by the points of items.

        Points that are gone are left out.
        """
        known = self._known
        unknown = [item for item in items if item.point not in known]
        if self._reader is not None and unknown:
            digests = {
                item.point: digest
                for item in unknown
                if (digest := getattr(item.product, "embedded_digest", None))
                and item.point < STRIDE  # not that of a further image
            }
            found = self.of_images(self._reader, digests.values())
            known |= {it: found[name] for it, name in digests.items() if name in found}
        if others := [item.point for item in unknown if item.point not in known]:
            known |= self._index.vectors(others)
        return known

    def of_images(self, reader: Reader, digests: Collection[str]) -> Mapping[str, Vector]:
        """Return the vectors of images by their digests, without those that SQL does not have."""
        kept = _CACHES.setdefault(self._index, _VectorCache(self.size))
        found = {digest: it for digest in digests if (it := kept.get(digest)) is not None}
        if missing := set(digests) - found.keys():
            named = {"digests": missing, "fingerprint": self._fingerprint}
            rows = reader.rows(statements.vectors(), named)
            units = as_units([row.vector for row in rows])
            read = {row.image_digest: it.copy() for row, it in zip(rows, units, strict=True)}
            kept.add(read)
            found |= read
        return found


class _VectorCache:
    """Vectors of images for one index, by digest, of length 1: they never change.

    The oldest ones go first.
    """

    def __init__(self, size: int) -> None:
        self._most = max(1, MOST_BYTES // (4 * size))
        self._vectors: dict[str, Vector] = {}
        self._lock = Lock()
        self.get = self._vectors.get

    def add(self, vectors: Mapping[str, Vector]) -> None:
        with self._lock:
            self._vectors |= vectors
            excess = max(0, len(self._vectors) - self._most)
            for digest in list(islice(self._vectors, excess)):
                del self._vectors[digest]


_CACHES: WeakKeyDictionary[VectorIndex, _VectorCache] = WeakKeyDictionary()


def has_vector(row: Any, *, slot: int) -> bool:
    """Tell whether the row of a product names the image of its point; not that of a further one."""
    return slot == 0 and bool(getattr(row, "embedded_digest", None))


def as_units(blobs: Sequence[bytes]) -> Vector:
    """Return vectors as SQL keeps them, (vectors, size), scaled to length 1 as an index does."""
    if not blobs:
        return np.zeros((0, 0), np.float32)
    found = np.frombuffer(b"".join(blobs), STORED).reshape(len(blobs), -1).astype(np.float64)
    lengths = np.linalg.norm(found, axis=1, keepdims=True)
    units: Vector = (found / lengths).astype(np.float32)
    return units
