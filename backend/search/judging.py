"""What a function says of rows, found once for each combination of the values that it looks at."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from functools import partial
from operator import attrgetter
from typing import Any, Final, Generic, TypeVar

from backend.filters import Schema, Where
from backend.filters.matching import ValueOf, columns_of, matcher
from backend.search.statements import read_json

Found = TypeVar("Found")

MOST_KNOWN: Final = 4096
"""Combinations that are kept; beyond it all are forgotten."""


class ByValues(Generic[Found]):
    """What `judge` says of a row, which depends on these columns alone; at least one.

    A list has some hundred candidates, and few combinations of values: to look one up takes a fifth
    of what it takes to compare it. Threads may share it.
    """

    def __init__(self, columns: Collection[str], judge: Callable[[ValueOf], Found]) -> None:
        self._read = attrgetter(*sorted(columns))
        self._judge = judge
        self._known: dict[Any, Found] = {}

    def __call__(self, row: Any) -> Found:
        """Return what is said of one row."""
        values = self._read(row)
        try:
            return self._known[values]
        except KeyError:
            return self._find(values, row)
        except TypeError:  # PostgreSQL's driver gives JSON as an object
            return self._judge(partial(value_of_row, row))

    def each(self, rows: Sequence[Any]) -> list[Found]:
        """Return what is said of many rows, in fewer calls of Python than one for each."""
        try:
            return list(map(self._known.__getitem__, map(self._read, rows)))
        except (KeyError, TypeError):
            return [self(row) for row in rows]

    def _find(self, values: Any, row: Any) -> Found:
        found = self._judge(partial(value_of_row, row))
        if len(self._known) >= MOST_KNOWN:
            self._known.clear()
        self._known[values] = found
        return found


def row_matcher(where: Where, schema: Schema) -> ByValues[bool] | None:
    """Return what tells whether a row passes a checked filter; None for the empty one."""
    return ByValues(columns_of(where), matcher(where, schema)) if where else None


def value_of_row(row: Any, field: str) -> Any:
    """Return a column of a row by name, to compare it with a filter."""
    value = getattr(row, field)
    return read_json(value) if field == "attributes" else value
