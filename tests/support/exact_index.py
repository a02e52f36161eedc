"""A VectorIndex in numpy that compares every vector and reads every payload: the tests' oracle.

It shares the checks of the real adapters, and none of the translation of filters.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from backend.errors import IndexUnavailable
from backend.filters import Condition, Scalar, Schema, Where
from backend.filters.check import check, check_facet
from backend.vectors import SLOT, Hit, Point, SearchMode, StoredPoint, Vector
from backend.vectors.points import (
    check_examples,
    check_patch,
    check_points,
    unit_vector,
)


class ExactIndex:
    """All points in a dict; every question is a full scan."""

    def __init__(self, *, size: int, schema: Schema) -> None:
        self.size = size
        self._schema = schema
        self._points: dict[int, Point] = {}
        self._closed = False

    @property
    def version(self) -> object:
        return None

    def upsert(self, points: Sequence[Point]) -> None:
        self.ping()
        for point in check_points(points, size=self.size, schema=self._schema):
            old = self._points.get(point.id)
            if old is None or old.claim < point.claim:
                self._points[point.id] = point

    def delete(self, claims: Mapping[int, int]) -> None:
        self.ping()
        for number, claim in claims.items():
            if number in self._points and self._points[number].claim <= claim:
                del self._points[number]

    def set_payload(self, id: int, payload: Mapping[str, Any]) -> None:
        self.ping()
        check_patch(payload, self._schema)
        if point := self._points.get(id):
            merged = {**point.payload, **payload}
            self._points[id] = Point(id=id, vector=point.vector, payload=merged, claim=point.claim)

    def vector(self, id: int) -> Vector | None:
        self.ping()
        return self._points[id].vector if id in self._points else None

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
        query = unit_vector(vector, self.size)
        points = self._passing(where, exclude)
        scores = {point.id: float(point.vector @ query) for point in points}
        best = sorted(points, key=lambda point: -scores[point.id])
        return [
            Hit(point.id, scores[point.id], _given(point) if payloads else {})
            for point in best[:limit]
            if min_score is None or scores[point.id] >= min_score
        ]

    def nearest_each(
        self, queries: Sequence[tuple[Vector, float | None]], **options: Any
    ) -> list[list[Hit]]:
        return [
            self.nearest(vector, min_score=min_score, payloads=False, **options)
            for vector, min_score in queries
        ]

    def search_mode(self, where: Where | None = None) -> SearchMode:
        self.ping()
        check(where, self._schema)
        return SearchMode.EXACT

    def recommend(
        self,
        positives: Sequence[Vector],
        negatives: Sequence[Vector] = (),
        *,
        limit: int,
        where: Where | None = None,
        exclude: Sequence[int] = (),
    ) -> list[Hit]:
        wanted, unwanted = check_examples(positives, negatives, self.size)
        hits = []
        for point in self._passing(where, exclude):
            closest = max(float(point.vector @ np.float32(each)) for each in wanted)
            against = max([float(point.vector @ np.float32(each)) for each in unwanted] or [-2.0])
            if closest > against:
                hits.append(Hit(point.id, closest, _given(point)))
        return sorted(hits, key=lambda hit: -hit.score)[:limit]

    def facet(
        self,
        field: str,
        *,
        limit: int = 200,
        where: Where | None = None,
        several: bool = False,
    ) -> list[tuple[Scalar, int]]:
        check_facet(field, self._schema)
        counts: Counter[Scalar] = Counter()
        for point in self._passing(where):
            if several and SLOT in point.payload:
                continue
            counts.update(set(_values(point.payload, field)))
        return sorted(counts.items(), key=lambda pair: (-pair[1], str(pair[0])))[:limit]

    def count(self, where: Where | None = None, *, several: bool = False) -> int:
        return sum(not (several and SLOT in it.payload) for it in self._passing(where))

    def claims(self, *, start: int = 0, stop: int | None = None) -> Iterator[tuple[int, int]]:
        self.ping()
        for number in sorted(self._points):
            if number >= start and (stop is None or number < stop):
                yield number, self._points[number].claim

    def records(self, ids: Sequence[int], *, vectors: bool = False) -> list[StoredPoint]:
        self.ping()
        return [
            StoredPoint(
                id=it.id,
                claim=it.claim,
                payload=_given(it),
                vector=it.vector if vectors else None,
            )
            for it in map(self._points.get, ids)
            if it
        ]

    def vectors(self, ids: Sequence[int]) -> dict[int, Vector]:
        self.ping()
        return {it.id: it.vector for it in map(self._points.get, ids) if it}

    def points_without_claim(self, *, limit: int = 1000) -> list[str]:
        return []

    def delete_points_without_claim(self) -> None:
        self.ping()

    def flush(self) -> None:
        self.ping()

    def ping(self) -> None:
        if self._closed:
            raise IndexUnavailable("closed")

    def drop(self) -> None:
        self._points.clear()
        self.close()

    def close(self) -> None:
        self._closed = True

    def _passing(self, where: Where | None, exclude: Sequence[int] = ()) -> list[Point]:
        self.ping()
        check(where, self._schema)
        return [
            point
            for point in self._points.values()
            if point.id not in set(exclude) and passes(point.payload, where or {})
        ]


def passes(payload: Mapping[str, Any], where: Where) -> bool:
    """Tell whether a payload passes a filter."""
    return all(_satisfies(payload, field, condition) for field, condition in where.items())


def _satisfies(payload: Mapping[str, Any], field: str, condition: Condition) -> bool:
    same = _same_attribute if field.startswith("attributes.") else _same
    values = _values(payload, field)

    def has(any_of: Sequence[Scalar]) -> bool:
        return any(same(value, asked) for value in values for asked in any_of)

    if condition.any_of and not has(condition.any_of):
        return False
    if has(condition.none_of):
        return False
    bounds = (condition.gte, condition.gt, condition.lte, condition.lt)
    return bounds == (None,) * 4 or any(_within(value, condition) for value in values)


def _values(payload: Mapping[str, Any], field: str) -> list[Any]:
    if field.startswith("attributes."):
        payload, field = payload.get("attributes") or {}, field.removeprefix("attributes.")
    value = payload.get(field)
    elements = value if isinstance(value, list) else [value]
    return [element for element in elements if element is not None]


def _same(value: Any, asked: Scalar) -> bool:
    return isinstance(value, bool) == isinstance(asked, bool) and value == asked


def _same_attribute(value: Any, asked: Scalar) -> bool:
    """Compare in the stored type: text as JSON would write what is asked, else as JSON reads it."""
    if isinstance(value, str):
        return value == (asked if isinstance(asked, str) else _written(asked))
    if isinstance(asked, str):
        try:
            asked = json.loads(asked) if asked == asked.strip() else ""
        except ValueError:
            return False
    return not isinstance(asked, str) and _same(value, asked)


def _written(asked: Scalar) -> str:
    whole = isinstance(asked, float) and asked.is_integer()
    return json.dumps(int(asked) if whole else asked)


def _within(value: Any, condition: Condition) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return (
        (condition.gte is None or value >= condition.gte)
        and (condition.gt is None or value > condition.gt)
        and (condition.lte is None or value <= condition.lte)
        and (condition.lt is None or value < condition.lt)
    )


def _given(point: Point) -> dict[str, Any]:
    return {field: value for field, value in point.payload.items() if field != "claim"}
