"""Compare a filter with one product's fields, as the engine compares it with a point's payload."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final, TypeAlias

from backend.filters import OPEN_PREFIX, Condition, Schema, Where
from backend.filters.check import Kind, bounds_of, kind_of
from backend.filters.spellings import Spellings

ValueOf: TypeAlias = Callable[[str], Any]
"""Returns a field of a product by name, the open attributes as an object under `attributes`."""

_Test: TypeAlias = Callable[[Any], bool]
"""Takes what is stored in one field, None where there is nothing."""


def matcher(where: Where, schema: Schema) -> Callable[[ValueOf], bool]:
    """Return a function that tells whether a product passes a checked filter.

    The values are spelled once, so that one filter can be compared with many products.
    """
    columns: list[tuple[str, _Test]] = []
    attributes: list[tuple[str, _Test]] = []
    for field, condition in where.items():
        kind = kind_of(field, schema)
        tests = attributes if kind == "attribute" else columns
        name = field.removeprefix(OPEN_PREFIX)
        tests += [(name, test) for test in _tests(condition, kind)]

    def passes(value_of: ValueOf) -> bool:
        for name, test in columns:
            if not test(value_of(name)):
                return False
        if not attributes:
            return True
        stored = value_of("attributes") or {}
        return all(test(stored.get(name)) for name, test in attributes)

    return passes


def columns_of(fields: Iterable[str]) -> set[str]:
    """Return the columns that a filter with these fields looks at; all open attributes are one."""
    return {"attributes" if field.startswith(OPEN_PREFIX) else field for field in fields}


def _tests(condition: Condition, kind: Kind) -> Iterator[_Test]:
    if kind != "attribute":
        yield from _typed_tests(condition)
        return
    if condition.any_of:
        wanted = _keys(Spellings.of(condition.any_of))
        yield lambda stored: any(_key(value) in wanted for value in _listed(stored))
    if condition.none_of:
        unwanted = _keys(Spellings.of(condition.none_of))
        yield lambda stored: not any(_key(value) in unwanted for value in _listed(stored))
    if bounds := bounds_of(condition):
        yield lambda stored: any(_within(value, bounds) for value in _listed(stored))


def _typed_tests(condition: Condition) -> Iterator[_Test]:
    """Yield the tests of a typed field, which stores one value of its type, or nothing.

    A list is compared with some hundred products: a look into a set takes no call of Python.
    """
    if condition.any_of:
        yield frozenset(condition.any_of).__contains__
    if condition.none_of:
        unwanted = frozenset(condition.none_of)
        yield lambda stored: stored not in unwanted
    if bounds := bounds_of(condition):
        yield lambda stored: _within(stored, bounds)


def _listed(stored: Any) -> list[Any]:
    """Return the values of an attribute: one, those of a list, or none."""
    return stored if isinstance(stored, list) else [] if stored is None else [stored]


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
