"""Compare a filter with one product's fields, as the engine compares it with a point's payload."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, TypeAlias

from backend.filters import OPEN_PREFIX, Condition, Schema, Where
from backend.filters.check import Kind, bounds_of, kind_of
from backend.filters.spellings import Spellings

ValueOf: TypeAlias = Callable[[str], Any]
"""Returns a field of a product by name, the open attributes as an object under `attributes`."""

_Test: TypeAlias = Callable[[Any], bool]


def matcher(where: Where, schema: Schema) -> Callable[[ValueOf], bool]:
    """Return a function that tells whether a product passes a checked filter.

    The values are spelled once, so that one filter can be compared with many products.
    """
    tests = [
        (field, test)
        for field, condition in where.items()
        for test in _tests(condition, kind_of(field, schema))
    ]
    return lambda value_of: all(test(_stored(value_of, field)) for field, test in tests)


def _stored(value_of: ValueOf, field: str) -> list[Any]:
    """Return the values of a field: one, those of a list, or none."""
    if field.startswith(OPEN_PREFIX):
        value = (value_of("attributes") or {}).get(field.removeprefix(OPEN_PREFIX))
    else:
        value = value_of(field)
    return value if isinstance(value, list) else [] if value is None else [value]


def _tests(condition: Condition, kind: Kind) -> Iterator[_Test]:
    if condition.any_of:
        wanted = _keys(Spellings.for_kind(kind, condition.any_of))
        yield lambda stored: any(_key(value) in wanted for value in stored)
    if condition.none_of:
        unwanted = _keys(Spellings.for_kind(kind, condition.none_of))
        yield lambda stored: not any(_key(value) in unwanted for value in stored)
    if bounds := bounds_of(condition):
        yield lambda stored: any(_within(value, bounds) for value in stored)


def _within(value: Any, bounds: Mapping[str, float]) -> bool:
    return _is_number(value) and all(_HOLDS[name](value, it) for name, it in bounds.items())


_HOLDS: Final[Mapping[str, Callable[[float, float], bool]]] = {
    "gte": operator.ge,
    "gt": operator.gt,
    "lte": operator.le,
    "lt": operator.lt,
}


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _keys(spellings: Spellings) -> set[tuple[str, Any]]:
    it = spellings
    return set(map(_key, (*it.texts, *it.integers, *it.numbers, *it.booleans)))


def _key(value: Any) -> tuple[str, Any]:
    """Return what two equal JSON values have in common: in Python True equals 1."""
    return "number" if _is_number(value) else type(value).__name__, value
