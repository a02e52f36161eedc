"""Vector -> nearest ids. Qdrant is imported only in this folder.

One `VectorIndex` is one generation. Adapters: `edge` (embedded shard), `server` (qdrant-client).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

Vector: TypeAlias = npt.NDArray[np.float32]
Scalar: TypeAlias = str | int | float | bool
FieldType: TypeAlias = Literal["keyword", "integer", "float", "bool"]
Schema: TypeAlias = Mapping[str, FieldType]
"""Payload field -> type, of every field that is indexed (created before the points arrive)."""

CLAIM = "claim"
"""The payload field that holds the number of the claim that wrote the point; always indexed."""


@dataclass(frozen=True, kw_only=True)
class Condition:
    """What one payload field must satisfy; the parts that are set are ANDed."""

    any_of: tuple[Scalar, ...] = ()
    none_of: tuple[Scalar, ...] = ()
    gte: float | None = None
    gt: float | None = None
    lte: float | None = None
    lt: float | None = None


Where: TypeAlias = Mapping[str, Condition]
"""A neutral filter: AND across fields. Validated against a schema before it reaches an adapter."""


@dataclass(frozen=True, kw_only=True)
class Point:
    """One product in the index. The payload's `claim` is set from `claim` by the adapter."""

    id: int
    vector: Vector  # (size,) float32, finite, not all zeros
    payload: Mapping[str, Any]
    claim: int


@dataclass(frozen=True)
class Hit:
    """One neighbour; `score` is the cosine similarity."""

    id: int
    score: float
    payload: Mapping[str, Any] = field(default_factory=dict)


class VectorIndex(Protocol):
    """One generation's vectors. Safe to call from several threads.

    Every method raises IndexUnavailable when the store does not answer (trying again may help),
    and IndexLocked when another process owns an embedded one.
    """

    size: int

    def upsert(self, points: Sequence[Point]) -> None:
        """Write points, except over a point whose claim is the same or newer.

        Raises InvalidVector before anything is written when one vector has the wrong size, is not
        finite or all zeros; its `context["ids"]` names the points.
        """
        ...

    def delete(self, claims: Mapping[int, int]) -> None:
        """Delete points {id: claim}, except a point whose claim is newer."""
        ...

    def set_payload(self, id: int, payload: Mapping[str, Any]) -> None:
        """Merge fields into one point's payload; a point that is not there stays away."""
        ...

    def vector(self, id: int) -> Vector | None:
        """Return a point's vector, (size,) float32, or None."""
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
    ) -> list[Hit]:
        """Return up to `limit` neighbours, best first. `exact` asks for a full scan.

        Raises InvalidVector for a query of the wrong size or not finite, InvalidFilter for a
        field that is neither indexed nor an open attribute, or a value of the wrong type.
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
        """Return neighbours of several examples, away from the negatives, best first."""
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
        """Return neighbours re-ranked by maximal marginal relevance; `diversity` in [0, 1]."""
        ...

    def facet(
        self, field: str, *, limit: int = 200, where: Where | None = None
    ) -> list[tuple[Scalar, int]]:
        """Count the points per value of an indexed keyword, integer or bool field, most first."""
        ...

    def count(self, where: Where | None = None) -> int:
        """Count the points, exactly."""
        ...

    def claims(self, *, start: int = 0, stop: int | None = None) -> Iterator[tuple[int, int]]:
        """Yield (id, claim) of the points with start <= id < stop, in id order."""
        ...

    def flush(self) -> None:
        """Make what was acknowledged safe against power loss."""
        ...

    def ping(self) -> None:
        """Raise unless the store answers."""
        ...

    def close(self) -> None:
        """Let go of the store; the object cannot be used afterwards."""
        ...
