"""What a function says of rows, found once for each combination of the values that it looks at."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from functools import partial
from operator import attrgetter
from typing import Any, Final, Generic, TypeVar

from backend.filters import Schema, Where
from backend.filters.matching import ValueOf, columns_of, matcher
from backend.search.statements import SHOWN, read_json

Found = TypeVar("Found")

MOST_KNOWN: Final = 4096
"""Combinations that are kept; beyond it all are forgotten."""

MOST_MATCHERS: Final = 256

_COLUMNS: Final = frozenset(SHOWN)


class ByValues(Generic[Found]):
    """What `judge` says of a row, which depends on these columns alone; at least one.

    A list has some hundred candidates, and few combinations of values: to look one up takes a fifth
    of what it takes to compare it. Threads may share it.
    """

    def __init__(self, columns: Collection[str], judge: Callable[[ValueOf], Found]) -> None:
        self._read = attrgetter(*sorted(columns))
        self.judge = judge
        self._known: dict[Any, Found] = {}

    def __call__(self, row: Any) -> Found:
        """Return what is said of one row."""
        values = self._read(row)
        try:
            return self._known[values]
        except KeyError:
            return self._find(values, row)
        except TypeError:  # PostgreSQL's driver gives JSON as an object
            return self.judge(partial(value_of_row, row))

    def each(self, rows: Sequence[Any]) -> list[Found]:
        """Return what is said of many rows, in fewer calls of Python than one for each."""
        keys, known = list(map(self._read, rows)), self._known
        try:
            return list(map(known.__getitem__, keys))
        except (KeyError, TypeError):
            pass
        try:
            first = dict(zip(keys, rows, strict=True))
        except TypeError:
            return [self.judge(partial(value_of_row, row)) for row in rows]
        found = {
            key: known[key] if key in known else self._find(key, it) for key, it in first.items()
        }
        return list(map(found.__getitem__, keys))

    def _find(self, values: Any, row: Any) -> Found:
        found = self.judge(partial(value_of_row, row))
        if len(self._known) >= MOST_KNOWN:
            self._known.clear()
        self._known[values] = found
        return found


class Matchers:
    """What tells whether rows pass a filter, kept by filter: shops ask by the same ones again.

    Filters on open attributes are not kept: their values may equal each other, as 1 does True, and
    mean something else.
    """

    def __init__(self) -> None:
        self._kept: dict[Any, ByValues[bool]] = {}

    def of(self, where: Where, schema: Schema) -> ByValues[bool]:
        """Return what tells whether a row passes a checked filter that has a clause."""
        if not where.keys() <= _COLUMNS:
            return ByValues(columns_of(where), matcher(where, schema))
        key = tuple(where.items())
        found = self._kept.get(key)
        if found is None:
            if len(self._kept) >= MOST_MATCHERS:
                self._kept.clear()
            found = self._kept[key] = ByValues(columns_of(where), matcher(where, schema))
        return found


_matchers: Final = Matchers()


def row_matcher(where: Where, schema: Schema) -> ByValues[bool] | None:
    """Return what tells whether a row passes a checked filter; None for the empty one."""
    return _matchers.of(where, schema) if where else None


def value_of_row(row: Any, field: str) -> Any:
    """Return a column of a row by name, to compare it with a filter."""
    value = getattr(row, field)
    return read_json(value) if field == "attributes" else value
