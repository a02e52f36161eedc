"""Filters that equal each other in Python and mean something else are told apart."""

from __future__ import annotations

import pytest

from backend.filters import Condition, Schema, Where
from backend.vectors.edge.filter_cache import FilterCache

SCHEMA: Schema = {"colour": "keyword", "year": "integer"}

CLOSED: Where = {"colour": Condition(any_of=("Red",))}
OPEN: Where = {"attributes.size": Condition(any_of=(1,))}


def found(cache: FilterCache[str], where: Where) -> list[str]:
    """Ask twice, and return what was computed."""
    computed: list[str] = []

    def find(asked: Where) -> str:
        computed.append(repr(asked))
        return computed[-1]

    assert cache.of(where, find) == cache.of(where, find) == repr(where)
    return computed


def test_a_filter_on_the_schema_is_computed_once() -> None:
    assert len(found(FilterCache(SCHEMA), CLOSED)) == 1


def test_an_open_attribute_is_computed_each_time_unless_it_may_be_kept() -> None:
    assert len(found(FilterCache(SCHEMA), OPEN)) == 2
    assert len(found(FilterCache(SCHEMA, open_too=True), OPEN)) == 1


@pytest.mark.parametrize("other", [True, 1.0, "1"])
def test_equal_values_of_other_types_are_other_filters(other: bool | float | str) -> None:
    cache = FilterCache[str](SCHEMA, open_too=True)
    assert found(cache, OPEN)
    for condition in (Condition(any_of=(other,)), Condition(none_of=(other,))):
        assert len(found(cache, {"attributes.size": condition})) == 1
        assert len(found(cache, {"attributes.size": condition})) == 0


def test_after_its_seconds_a_result_is_computed_again() -> None:
    assert len(found(FilterCache(SCHEMA, seconds=-1), CLOSED)) == 2


def test_another_filter_between_two_equal_ones_changes_nothing() -> None:
    cache, other = FilterCache[str](SCHEMA), {"colour": Condition(none_of=("Red",))}
    assert len(found(cache, CLOSED)) == 1
    assert len(found(cache, other)) == 1
    assert len(found(cache, CLOSED)) == 0
    assert len(found(cache, {})) == 1
    assert len(found(cache, dict(CLOSED))) == 0
