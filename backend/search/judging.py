"""What a function says of rows, found once for each combination of the values that it looks at."""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import partial
from operator import attrgetter
from typing import Any, TypeAlias, TypeVar

from backend.filters import Schema, Where
from backend.filters.matching import ValueOf, columns_of, matcher
from backend.search.statements import read_json

Found = TypeVar("Found")

RowPasses: TypeAlias = Callable[[Any], bool]
"""Tells whether a row of a product passes."""


def by_values(
    columns: Collection[str], judge: Callable[[ValueOf], Found]
) -> Callable[[Any], Found]:
    """Return what finds `judge` of a row, which depends on these columns alone; at least one.

    A list has some hundred candidates, and few combinations of values: to look one up takes a fifth
    of what it takes to compare it. It is for one list, since it forgets nothing.
    """
    read, known = attrgetter(*sorted(columns)), dict[Any, Found]()

    def find(row: Any) -> Found:
        values = read(row)
        try:
            if values in known:
                return known[values]
        except TypeError:  # PostgreSQL's driver gives JSON as an object
            return judge(partial(value_of_row, row))
        found = known[values] = judge(partial(value_of_row, row))
        return found

    return find


def row_matcher(where: Where, schema: Schema) -> RowPasses | None:
    """Return what tells whether a row passes a checked filter; None for the empty one."""
    return by_values(columns_of(where), matcher(where, schema)) if where else None


def value_of_row(row: Any, field: str) -> Any:
    """Return a column of a row by name, to compare it with a filter."""
    value = getattr(row, field)
    return read_json(value) if field == "attributes" else value
