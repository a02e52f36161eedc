"""Vector -> nearest ids. Qdrant is imported only in this folder.

One `VectorIndex` is one generation. Adapters: `edge` (embedded shard), `server` (qdrant-client).
Both check points (`points`) and filters (`filters`) before their engine sees them, since the
engines store and answer what is wrong without a word.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from backend.filters import Scalar, Where

Vector: TypeAlias = npt.NDArray[np.float32]
CLAIM = "claim"
"""The payload field that holds the number of the claim that wrote the point; always indexed."""


@dataclass(frozen=True, kw_only=True)
class Point:
    """One product in the index. The payload's `claim` is set from `claim` by the adapter."""

    id: int  # 0 <= id < 2**63
    vector: Vector  # (size,) float32, finite, not all zeros; stored at length 1
    payload: Mapping[str, Any]  # JSON; a field of the schema holds its type or None
    claim: int  # 0 <= claim < 2**53: the engines compare it as a float


@dataclass(frozen=True, kw_only=True)
class StoredPoint:
    """A point as it is stored; the vector, of length 1, is None unless it was asked for."""

    id: int
    claim: int
    payload: Mapping[str, Any]  # as it was written, claim apart
    vector: Vector | None = None


@dataclass(frozen=True)
class Hit:
    """One neighbour; `score` is the cosine similarity, `payload` what was written, claim apart."""

    id: int
    score: float
    payload: Mapping[str, Any] = field(default_factory=dict)


class SearchMode(StrEnum):
    """How a search was done; the value is what an answer's `meta.search_mode` says."""

    PLAIN = "plain"  # walk the graph, through points that pass
    ACORN = "acorn"  # walk the graph, also through points that do not
    EXACT = "exact"  # compare all points that pass


class VectorIndex(Protocol):
    """One generation's vectors. Safe to call from several threads.

    Nothing is opened before the first call, which makes the store, with a payload index for each
    field of the schema, where it is not there. Every method raises IndexUnavailable when the store
    does not answer (trying again may help) or was closed, IndexGone when a server's collection
    was dropped, IndexLocked when another process owns an embedded one, and ConfigurationError when
    it was made for other vectors.
    """

    size: int

    def upsert(self, points: Sequence[Point]) -> None:
        """Write points, except over a point whose claim is the same or newer.

        Before anything is written, raises InvalidVector when one vector has the wrong size, is not
        finite or all zeros, and InvalidProduct when one payload could not be stored as it is or
        found again; `context["ids"]` names all such points.
        """
        ...

    def delete(self, claims: Mapping[int, int]) -> None:
        """Delete points {id: claim}, except a point whose claim is newer."""
        ...

    def set_payload(self, id: int, payload: Mapping[str, Any]) -> None:
        """Merge fields into one point's payload; a point that is not there stays away.

        Raises InvalidProduct for fields that could not be stored, and for the claim.
        """
        ...

    def vector(self, id: int) -> Vector | None:
        """Return a point's vector, (size,) float32 of length 1, or None."""
        ...

    def nearest(
        self,
        vector: Vector,
        *,
        limit: int,
        where: Where | None = None,
        exclude: Sequence[int] = (),
        min_score: float | None = None,
        exact: bool = False,
        mode: SearchMode | None = None,
    ) -> list[Hit]:
        """Return up to `limit` neighbours, best first, with a score of at least `min_score`.

        `mode` is how to search, by default what `search_mode` says; `exact` is short for
        SearchMode.EXACT. Raises InvalidVector for a query of the wrong size, not
        finite or all zeros, InvalidFilter for a field that is neither indexed nor an open
        attribute, or a value of the wrong type.
        """
        ...

    def search_mode(self, where: Where | None = None) -> SearchMode:
        """Return how a search under this filter is done; raises InvalidFilter."""
        ...

    def recommend(
        self,
        positives: Sequence[Vector],
        negatives: Sequence[Vector] = (),
        *,
        limit: int,
        where: Where | None = None,
        exclude: Sequence[int] = (),
    ) -> list[Hit]:
        """Return neighbours of several examples, best first by the closest positive one.

        `score` is the cosine to that; a point that is closer to a negative example is left out.
        Raises InvalidVector without a positive example.
        """
        ...

    def diverse(
        self,
        vector: Vector,
        *,
        limit: int,
        diversity: float,
        where: Where | None = None,
        exclude: Sequence[int] = (),
    ) -> list[Hit]:
        """Return neighbours chosen by maximal marginal relevance, in the order of choice.

        The nearest comes first; each next one has the greatest (1 - diversity) * cosine to the
        query - diversity * cosine to the closest one chosen (Carbonell and Goldstein 1998), among
        the 5 * limit nearest. `score` is the cosine to the query. ValueError outside [0, 1].
        """
        ...

    def facet(
        self, field: str, *, limit: int = 200, where: Where | None = None
    ) -> list[tuple[Scalar, int]]:
        """Count the points per value of an indexed keyword, integer or bool field, most first.

        Values that no point has are not listed. Raises InvalidFilter, naming the fields that can
        be counted, for any other.
        """
        ...

    def count(self, where: Where | None = None) -> int:
        """Count the points, exactly."""
        ...

    def claims(self, *, start: int = 0, stop: int | None = None) -> Iterator[tuple[int, int]]:
        """Yield (id, claim) of the points with start <= id < stop, in id order; none is foreign."""
        ...

    def records(self, ids: Sequence[int], *, vectors: bool = False) -> list[StoredPoint]:
        """Return the points with these ids as they are stored, those that are there, no foreign."""
        ...

    def points_without_claim(self, *, limit: int = 1000) -> list[str]:
        """Return ids of points that cannot be ours: they carry no claim, or no vector."""
        ...

    def delete_points_without_claim(self) -> None:
        """Delete the points that cannot be ours: they keep ours from being written."""
        ...

    def flush(self) -> None:
        """Make what was acknowledged safe against power loss."""
        ...

    def ping(self) -> None:
        """Raise unless the store answers."""
        ...

    def drop(self) -> None:
        """Delete the store with all it holds; the object cannot be used afterwards."""
        ...

    def close(self) -> None:
        """Let go of the store; the object cannot be used afterwards."""
        ...
