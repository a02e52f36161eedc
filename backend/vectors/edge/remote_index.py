"""The embedded index as a process uses it that does not own it: each call goes to the owner.

So there is one shard and one truth: what the owner has written is found by the next call of any
process. Nothing is kept here but how filters are searched, for a second.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Final, TypeAlias

import numpy as np

from backend.calls import Caller, NoAnswer
from backend.errors import IndexUnavailable
from backend.filters import Scalar, Schema, Where
from backend.vectors import Hit, Point, SearchMode, StoredPoint, Vector, VectorIndex
from backend.vectors.edge.filter_cache import FilterCache

PAGE: Final = 10_000
"""Claims in one call."""

MODE_SECONDS: Final = 1.0
"""How long the mode of a filter is remembered. A search by another mode is as right, and slower."""

NEAREST: Final = "nearest"
HITS: Final = ("recommend",)
LISTS_OF_HITS: Final = ("nearest_each",)
PLAIN: Final = (
    "upsert",
    "delete",
    "set_payload",
    "vector",
    "search_mode",
    "compared",
    "facet",
    "count",
    "records",
    "vectors",
    "points_without_claim",
    "delete_points_without_claim",
    "flush",
    "ping",
    "drop",
)
"""Methods whose arguments and results are sent as they are."""

_Packed: TypeAlias = list[tuple[int, float, dict[str, Any] | None]]


class RemoteIndex(VectorIndex):
    """One generation's index, asked through the process that owns it."""

    def __init__(self, caller: Caller, generation_id: int, *, size: int, schema: Schema) -> None:
        self.size = size
        self._caller = caller
        self._generation_id = generation_id
        self._modes = FilterCache[SearchMode](schema, seconds=MODE_SECONDS, open_too=True)
        self._compared = FilterCache[int](schema, seconds=MODE_SECONDS, open_too=True)
        self._closed = False

    def _ask(self, method: str, *arguments: Any, **more: Any) -> Any:
        if self._closed:
            raise IndexUnavailable("the embedded index is closed")
        try:
            return self._caller.call("index", self._generation_id, method, arguments, more)
        except NoAnswer as error:
            raise IndexUnavailable(
                f"the process that owns the embedded index does not answer: {error}"
            ) from None

    # --- writing ---

    @property
    def version(self) -> object:
        return None  # to ask for it takes as long as to count

    def upsert(self, points: Sequence[Point]) -> None:
        self._ask("upsert", list(points))

    def delete(self, claims: Mapping[int, int]) -> None:
        self._ask("delete", dict(claims))

    def set_payload(self, id: int, payload: Mapping[str, Any]) -> None:
        self._ask("set_payload", id, dict(payload))

    def delete_points_without_claim(self) -> None:
        self._ask("delete_points_without_claim")

    def flush(self) -> None:
        self._ask("flush")

    # --- searching ---

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
        asked = (limit, where and dict(where), exclude, min_score, exact, mode, payloads)
        return _unpacked(self._ask(NEAREST, _vector_packed(vector), *asked))

    def nearest_each(
        self,
        queries: Sequence[tuple[Vector, float | None]],
        *,
        limit: int,
        where: Where | None = None,
        mode: SearchMode | None = None,
    ) -> list[list[Hit]]:
        found = self._ask(
            "nearest_each", list(queries), limit=limit, where=where and dict(where), mode=mode
        )
        return [_unpacked(hits) for hits in found]

    def search_mode(self, where: Where | None = None) -> SearchMode:
        return self._modes.of(where or {}, lambda it: self._ask("search_mode", dict(it)))

    def compared(self, where: Where) -> int:
        return self._compared.of(where, lambda it: self._ask("compared", dict(it)))

    def recommend(
        self,
        positives: Sequence[Vector],
        negatives: Sequence[Vector] = (),
        *,
        limit: int,
        where: Where | None = None,
        exclude: Sequence[int] = (),
    ) -> list[Hit]:
        return _unpacked(
            self._ask(
                "recommend",
                list(positives),
                list(negatives),
                limit=limit,
                where=where and dict(where),
                exclude=exclude,
            )
        )

    # --- reading ---

    def vector(self, id: int) -> Vector | None:
        found: Vector | None = self._ask("vector", id)
        return found

    def facet(
        self,
        field: str,
        *,
        limit: int = 200,
        where: Where | None = None,
        several: bool = False,
    ) -> list[tuple[Scalar, int]]:
        found: list[tuple[Scalar, int]] = self._ask(
            "facet", field, limit=limit, where=where and dict(where), several=several
        )
        return found

    def count(self, where: Where | None = None, *, several: bool = False) -> int:
        found: int = self._ask("count", where and dict(where), several=several)
        return found

    def claims(self, *, start: int = 0, stop: int | None = None) -> Iterator[tuple[int, int]]:
        while page := self._ask("claims", start=start, stop=stop):
            yield from page
            start = page[-1][0] + 1

    def records(self, ids: Sequence[int], *, vectors: bool = False) -> list[StoredPoint]:
        found: list[StoredPoint] = self._ask("records", list(ids), vectors=vectors)
        return found

    def vectors(self, ids: Sequence[int]) -> dict[int, Vector]:
        found: dict[int, Vector] = self._ask("vectors", list(ids))
        return found

    def points_without_claim(self, *, limit: int = 1000) -> list[str]:
        found: list[str] = self._ask("points_without_claim", limit=limit)
        return found

    # --- opening and closing ---

    def ping(self) -> None:
        self._ask("ping")

    def drop(self) -> None:
        self._ask("drop")

    def close(self) -> None:
        self._closed = True  # here: the shard is the owner's


def answer(
    index: VectorIndex, method: str, arguments: Sequence[Any], more: Mapping[str, Any]
) -> Any:
    """Call a method for another process, and return what `RemoteIndex` expects."""
    if method == NEAREST:
        return _packed(_nearest(index, *arguments))
    if method == "claims":
        return list(islice(index.claims(**more), PAGE))
    if method not in (*HITS, *LISTS_OF_HITS, *PLAIN):
        raise ValueError(f"{method} is not asked by other processes")
    found = getattr(index, method)(*arguments, **more)
    if method in HITS:
        return _packed(found)
    return [_packed(hits) for hits in found] if method in LISTS_OF_HITS else found


def _vector_packed(vector: Vector) -> bytes | Vector:
    """Return a vector as bytes where it is as it should be: an array takes longer to pickle."""
    is_plain = isinstance(vector, np.ndarray) and vector.dtype == np.float32 and vector.ndim == 1
    return vector.tobytes() if is_plain else vector


def _nearest(
    index: VectorIndex,
    vector: bytes | Vector,
    limit: int,
    where: Where | None,
    exclude: Sequence[int],
    min_score: float | None,
    exact: bool,
    mode: SearchMode | None,
    payloads: bool,
) -> list[Hit]:
    return index.nearest(
        np.frombuffer(vector, np.float32) if isinstance(vector, bytes) else vector,
        limit=limit,
        where=where,
        exclude=exclude,
        min_score=min_score,
        exact=exact,
        mode=mode,
        payloads=payloads,
    )


def _packed(hits: Sequence[Hit]) -> _Packed:
    """Return hits as tuples: named tuples take several times as long to pickle."""
    return [(hit.id, hit.score, dict(hit.payload) if hit.payload else None) for hit in hits]


def _unpacked(packed: _Packed) -> list[Hit]:
    return [
        Hit(id_, score) if payload is None else Hit(id_, score, payload)
        for id_, score, payload in packed
    ]
