"""What is said of rows is found once for each combination of values, and the same for many rows."""

from __future__ import annotations

from collections import namedtuple
from typing import Any

import pytest

from backend.filters import Condition
from backend.filters.matching import ValueOf
from backend.search import judging
from backend.search.judging import ByValues, row_matcher

Row = namedtuple("Row", ["id", "brand", "attributes"])


def judged(rows: list[Row]) -> tuple[list[Any], list[Any]]:
    """What `each` returns for rows, and what was compared for it."""
    compared: list[Any] = []

    def judge(value_of: ValueOf) -> Any:
        compared.append(value_of("brand"))
        return value_of("brand"), (value_of("attributes") or {}).get("fit")

    return ByValues(["brand", "attributes"], judge).each(rows), compared


def test_each_combination_is_compared_once() -> None:
    rows = [Row(at, brand, None) for at, brand in enumerate("ABABA")]
    found, compared = judged(rows)
    assert found == [(it, None) for it in "ABABA"]
    assert compared == ["A", "B"]


def test_values_that_cannot_be_looked_up_are_compared_each_time() -> None:
    rows = [Row(0, "A", None), Row(1, "A", {"fit": "slim"}), Row(2, "A", None)]
    found, _ = judged(rows)
    assert found == [("A", None), ("A", "slim"), ("A", None)]


def test_no_more_combinations_are_kept_than_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judging, "MOST_KNOWN", 2)
    rows = [Row(at, brand, None) for at, brand in enumerate("ABCDA")]
    assert [brand for brand, _ in judged(rows)[0]] == list("ABCDA")


def test_filters_are_kept_apart_by_their_values() -> None:
    rows = [Row(0, "A", None), Row(1, "B", None)]
    for brand in ("A", "B", "A"):
        passes = row_matcher({"brand": Condition(any_of=(brand,))}, {"brand": "keyword"})
        assert passes is not None
        assert passes.each(rows) == [brand == "A", brand == "B"]
        assert [passes(row) for row in rows] == [brand == "A", brand == "B"]


def test_attributes_whose_values_equal_each_other_are_not_mixed_up() -> None:
    rows = [Row(0, "A", '{"new": true}'), Row(1, "A", '{"new": 1}')]
    found = []
    for value in (True, 1):
        passes = row_matcher({"attributes.new": Condition(any_of=(value,))}, {})
        assert passes is not None
        found.append(passes.each(rows))
    assert found == [[True, False], [False, True]]
