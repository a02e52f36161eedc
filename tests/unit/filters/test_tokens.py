"""Tokens of open attributes: one of a filter's is a product's where the filter holds."""

from __future__ import annotations

import math
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from backend.filters import Condition
from backend.filters.check import bounds_of
from backend.filters.matching import matcher
from backend.filters.spellings import Spellings
from backend.filters.tokens import range_tokens, tokens_of, value_tokens

FIELD = "attributes.x"
near = [0, 1, 10, 11, 100, 101, 1.1, 1.01, 0.1, 0.3, 0.1 + 0.2, 19.99, -0.0, 5e-324, 1e300]
large = [2**53, 2**53 + 1, 2.0**60, 2**60 + 1, 2**63 - 1, -(2**63), -(2.0**63)]
numbers = (
    st.sampled_from([*near, *(-number for number in near), *large])
    | st.integers(-(2**63), 2**63 - 1)
    | st.integers(-200, 200).map(lambda cents: cents / 100)
    | st.floats(allow_nan=False, allow_infinity=False)
)
scalars = numbers | st.booleans() | st.sampled_from(["", "1", "true", "a=b", 'x="1', "ü" * 200])


@st.composite
def ranges(draw: st.DrawFn) -> dict[str, float]:
    """One bound or two, on different sides; some next to each other."""
    first = draw(numbers)
    second = draw(numbers | st.just(first) | st.just(math.nextafter(float(first), 2.0**62)))
    low, high = draw(st.sampled_from(["gte", "gt"])), draw(st.sampled_from(["lte", "lt"]))
    both = {low: first, high: second}
    kept = draw(st.sampled_from([(low,), (high,), (low, high)]))
    return {name: both[name] for name in kept}


def holds(condition: Condition, value: Any) -> bool:
    """Tell whether a product with this value passes, by the comparison that reads values."""
    return matcher({FIELD: condition}, {})({"attributes": {"x": value}}.get)


@settings(max_examples=150, deadline=None)
@given(bounds=ranges(), values=st.lists(scalars, min_size=1, max_size=3))
@example(bounds={"gt": 4.5}, values=[4.5, 4.50001])
@example(bounds={"gte": -5, "lt": 0}, values=[-0.0])
@example(bounds={"gte": 2**60, "lte": 2**60}, values=[2**60 + 1])
def test_a_range_is_a_list_of_tokens(bounds: dict[str, float], values: list[Any]) -> None:
    asked = range_tokens(FIELD, bounds)
    assert len(asked) < 800
    for value in (values, values[0]):
        has_one = not {*asked}.isdisjoint(tokens_of({"x": value}))
        assert has_one == holds(Condition(**bounds), value)
    assert {*bounds_of(Condition(**bounds))} == {*bounds}


@settings(max_examples=80, deadline=None)
@given(
    asked=st.lists(scalars, min_size=1, max_size=3),
    values=st.lists(scalars, min_size=1, max_size=3),
)
def test_a_value_is_a_list_of_tokens_in_every_type_that_counts_as_equal(
    asked: list[Any], values: list[Any]
) -> None:
    wanted = value_tokens(FIELD, Spellings.of(asked))
    has_one = not {*wanted}.isdisjoint(tokens_of({"x": values}))
    assert has_one == holds(Condition(any_of=tuple(asked)), values)


@settings(max_examples=60)
@given(name=st.text(max_size=6), other=st.text(max_size=6), value=scalars, second=scalars)
@example(name="a", other="a=1", value="1=2", second=2)
def test_two_attributes_share_no_token(name: str, other: str, value: Any, second: Any) -> None:
    if name != other:
        assert {*tokens_of({name: value})}.isdisjoint(tokens_of({other: second}))


def test_only_what_can_be_filtered_by_has_tokens() -> None:
    odd = {"a": None, "b": {"deep": 1}, "c": [[1], "z"], 'q"': "x", "n": float("nan")}
    assert tokens_of(odd) == ['c="z"']


def test_a_price_has_few_tokens_and_a_long_text_a_short_one() -> None:
    assert tokens_of({"x": 19.99, "f": "silk"}) == [
        'f="silk"',
        "x=19.99",
        *("x>+4", "x>+40", "x>+401", "x>+4011", "x>+40119", "x>+401199"),
    ]
    assert len(range_tokens(FIELD, {"gte": 19.99})) == 40
    assert len(range_tokens(FIELD, {"gte": 10, "lt": 20})) == 2
    assert len(tokens_of({"x": "long " * 1000})[0]) == 33
