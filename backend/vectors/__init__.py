"""Vector -> nearest ids. Qdrant is imported only in this folder, and not by this module.

- this module: the `VectorIndex` protocol; one index is one generation
- `edge`: the embedded index, a qdrant-edge shard in this process
- `server`: the index on a Qdrant server or cluster
- `points`: checks of points and vectors, used by both, because the engines make none
- `translate`: a filter in the words of either SDK; `backend.filters` has checked it before
- `search_mode`: whether a query searches the graph or compares points
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final, NamedTuple, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from backend.filters import FieldType, Scalar, Schema, Where
from backend.filters.tokens import TOKENS

Vector: TypeAlias = npt.NDArray[np.float32]
CLAIM = "claim"
"""The payload field that holds the number of the claim that wrote the point; always indexed."""

SLOT: Final = "slot"
"""The payload field that tells a product's further points, 1 and up, from its first one, which
lacks it; always indexed."""


def payload_indexes(schema: Schema, *, tokens: bool) -> dict[str, FieldType]:
    """Return the payload fields that are indexed: those of the schema, and our own."""
    own: dict[str, FieldType] = {CLAIM: "integer", SLOT: "integer"}
    return {**schema, **own, **({TOKENS: "keyword"} if tokens else {})}


@dataclass(frozen=True, kw_only=True)
class Point:
    """One image of a product in the index; `image_points` makes its id.

    The payload's `claim` is set from `claim` by the adapter.
    """

    id: int  # 0 <= id < 2**63
    vector: Vector  # (size,) float32, finite, not all zeros; stored at length 1
    payload: Mapping[str, Any]  # JSON; a field of the schema holds its type or None
    claim: int  # 0 <= claim < 2**53: the engines compare it as a float


@dataclass(frozen=True, kw_only=True)
class StoredPoint:
    """A point as it is stored; the vector, of length 1, is None unless it was asked for."""

    id: int
    claim: int
    payload: Mapping[str, Any]  # as it was written, without the claim
    vector: Vector | None = None


NO_PAYLOAD: Final[Mapping[str, Any]] = MappingProxyType({})


class Hit(NamedTuple):
    """One neighbour; `score` is the cosine similarity, `payload` as in StoredPoint."""

    id: int
    score: float
    payload: Mapping[str, Any] = NO_PAYLOAD


class SearchMode(StrEnum):
    """How a search is done; the value is the answer's `meta.search_mode`."""

    PLAIN = "plain"  # search the graph through points that pass the filter
    ACORN = "acorn"  # search the graph through all points
    EXACT = "exact"  # compare all points that pass the filter


class Searchable(Protocol):
    """What can be asked for nearest points: an index, or a list of vectors in memory."""

    def nearest(
        self,
        vector: Vector,
        *,
        limit: int,
        where: Where | None = None,
        exclude: Sequence[int] = (),
        min_score: float | None = None,
        mode: SearchMode | None = None,
        payloads: bool = True,
    ) -> list[Hit]:
        """Return up to `limit` neighbours, best first, as `VectorIndex.nearest` does."""
        ...


class VectorIndex(Protocol):
    """One generation's vectors. Safe to call from several threads.

    Nothing is opened before the first call. That creates the store if there is none, with a payload
    index for each field of the schema. Every method raises IndexUnavailable when the store
    does not answer (trying again may help) or was closed, IndexGone when a server's collection
    was dropped, IndexLocked when another process owns an embedded one, and ConfigurationError when
    it was made for other vectors.
    """

    size: int

    @property
    def version(self) -> object:
        """What changes after each write, by whoever; None where this cannot be told."""
        ...

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
        """Merge fields into one point's payload; does nothing if there is no such point.

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
        payloads: bool = True,
    ) -> list[Hit]:
        """Return up to `limit` neighbours, best first, with a score of at least `min_score`.

        Without `payloads`, the hits' payloads are empty and are not read. `mode` is how to search,
        by default what `search_mode` returns; `exact` is short for SearchMode.EXACT. Raises
        InvalidVector for a query of the wrong size, not finite or all zeros; InvalidFilter for a
        field that is neither indexed nor an open attribute, or a value of the wrong type.
        """
        ...

    def nearest_each(
        self,
        queries: Sequence[tuple[Vector, float | None]],
        *,
        limit: int,
        where: Where | None = None,
        mode: SearchMode | None = None,
    ) -> list[list[Hit]]:
        """Return `nearest` for each (vector, least score), without payloads; one request."""
        ...

    def search_mode(self, where: Where | None = None) -> SearchMode:
        """Return how a search under this filter is done; raises InvalidFilter."""
        ...

    def compared(self, where: Where) -> int:
        """Return about how many points a search under this filter compares with the query.

        0 where a graph leads to them, or none without the filter would, or nobody can tell.
        """
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

    def facet(
        self,
        field: str,
        *,
        limit: int = 200,
        where: Where | None = None,
        several: bool = False,
    ) -> list[tuple[Scalar, int]]:
        """Count the points per value of an indexed keyword, integer or bool field, most first.

        With `several` only first points count, so that a product with several images counts once.
        Values that no point has are not listed. Raises InvalidFilter, naming the fields that can
        be counted, for any other.
        """
        ...

    def count(self, where: Where | None = None, *, several: bool = False) -> int:
        """Count the points, exactly; with `several` only first points, as `facet` does."""
        ...

    def claims(self, *, start: int = 0, stop: int | None = None) -> Iterator[tuple[int, int]]:
        """Yield (id, claim) of the points that we wrote, with start <= id < stop, in id order."""
        ...

    def records(self, ids: Sequence[int], *, vectors: bool = False) -> list[StoredPoint]:
        """Return the points with these ids as they are stored, except what we did not write."""
        ...

    def vectors(self, ids: Sequence[int]) -> dict[int, Vector]:
        """Return the vectors of points, as `vector` does, by id; those that are gone are left out.

        No payload is read, which takes longer than the vectors do.
        """
        ...

    def points_without_claim(self, *, limit: int = 1000) -> list[str]:
        """Return ids of points that we did not write: they have no claim, or no vector."""
        ...

    def delete_points_without_claim(self) -> None:
        """Delete the points that we did not write: a conditional write never replaces them."""
        ...

    def flush(self) -> None:
        """Write everything to disk, so that it survives a power loss."""
        ...

    def ping(self) -> None:
        """Raise unless the store answers."""
        ...

    def drop(self) -> None:
        """Delete the store with all it holds; the object cannot be used afterwards."""
        ...

    def close(self) -> None:
        """Close the store; the object cannot be used afterwards."""
        ...
