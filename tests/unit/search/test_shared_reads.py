"""What several parts of one answer need is read from the index once."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from support.exact_index import ExactIndex

from backend.search import grouping
from backend.search.found import Neighbour
from backend.search.grouping import with_sizes
from backend.search.stored_vectors import StoredVectors
from backend.vectors import Point, Vector


class Counting(ExactIndex):
    """Notes what it is asked for."""

    def __init__(self) -> None:
        super().__init__(size=2, schema={"brand": "keyword"})
        self.asked: list[Sequence[Any]] = []
        self.now: object = None

    @property
    def version(self) -> object:
        return self.now

    def vectors(self, ids: Sequence[int]) -> dict[int, Vector]:
        self.asked.append(list(ids))
        return super().vectors(ids)

    def facet(self, field: str, **options: Any) -> Any:
        self.asked.append(sorted(options["where"][field].any_of))
        return super().facet(field, **options)


@pytest.fixture
def index() -> Counting:
    made = Counting()
    for id_, brand in enumerate("AAAAB"):
        vector = np.array([1, id_], np.float32)
        made.upsert([Point(id=id_, vector=vector, payload={"brand": brand}, claim=1)])
    return made


def items(*brands: str) -> list[Neighbour]:
    return [
        Neighbour(SimpleNamespace(id=at, brand=brand), "indexed", None, 1.0, at)  # type: ignore[arg-type]
        for at, brand in enumerate(brands)
    ]


def test_a_vector_is_read_once_and_one_that_is_gone_is_left_out(index: Counting) -> None:
    index.delete({1: 1})
    stored = StoredVectors(index)
    assert stored.of(items("A", "A")).keys() == {0}
    assert stored.of(items("A", "A", "A")).keys() == {0, 2}
    assert index.asked == [[0, 1], [1, 2]]


def test_large_groups_are_counted_once_in_a_while(
    index: Counting, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    monkeypatch.setattr(grouping, "LARGE", 3)
    monkeypatch.setattr(grouping, "time", SimpleNamespace(monotonic=lambda: now[0]))

    def sizes() -> list[int | None]:
        found = with_sizes(index, items("A", "B"), "brand", {}, several=False)
        return [it.group_size for it in found]

    assert sizes() == sizes() == [4, 1]
    assert index.asked == [["A", "B"], ["B"]]
    index.delete({0: 1, 4: 1})
    assert sizes() == [4, 1], "a large group may be old, a small one is counted anew"
    now[0] += grouping.SECONDS
    assert sizes() == [3, 1]


def test_what_is_counted_is_kept_until_the_next_write_where_that_is_told(index: Counting) -> None:
    def sizes() -> list[int | None]:
        found = with_sizes(index, items("A", "B"), "brand", {}, several=False)
        return [it.group_size for it in found]

    index.now = 1
    assert sizes() == sizes() == [4, 1]
    assert index.asked == [["A", "B"]]
    index.delete({0: 1})
    index.now = 2
    assert sizes() == sizes() == [3, 1]
    assert index.asked == [["A", "B"], ["A", "B"]]
