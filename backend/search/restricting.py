"""Lists whose products have the same values as the products that are asked about."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeAlias

from backend.database.reader import Reader
from backend.filters import Condition, Where
from backend.search import statements
from backend.search.query import Answer, Query

Same: TypeAlias = Mapping[str, tuple[str, ...]]
"""Field -> the values that are allowed; empty where none of the products asked about has one."""


def read_values(connection: Reader, ids: Sequence[int], fields: Sequence[str]) -> Same:
    """Read the values that some products have in these columns."""
    if not fields or not ids:
        return dict.fromkeys(fields, ())
    rows = connection.rows(statements.values(), {"ids": ids})
    return {
        field: tuple(sorted({getattr(row, field) for row in rows} - {None})) for field in fields
    }


def values_of(row: Any, fields: Sequence[str]) -> Same:
    """Return the values that one product has in these columns, by its row."""
    found = {field: getattr(row, field) for field in fields}
    return {field: () if it is None else (it,) for field, it in found.items()}


def restrict(query: Query, row: Any) -> tuple[Query, Same]:
    """Return the query with the filter for products like one, by its row, and what that demands."""
    fields = query.shaping.restrict
    if not fields:
        return query, {}
    same = values_of(row, fields)
    return replace(query, where=restricted(query.where, same)), same


def say_restricted(answer: Answer, same: Same) -> None:
    """Note in an answer what `restrict` has demanded."""
    if same:
        answer.meta["restricted"] = {field: list(values) for field, values in same.items()}


def restricted(where: Where, same: Same) -> Where:
    """Return the filter that also demands one of the values in each field, where there are any."""
    found = dict(where)
    for field, values in same.items():
        if values:
            found[field] = _with(found.get(field, Condition()), values)
    return found


def _with(condition: Condition, values: tuple[str, ...]) -> Condition:
    """Return the condition that allows what both do."""
    if not condition.any_of:
        return replace(condition, any_of=values)
    both = tuple(it for it in condition.any_of if it in values)
    if both:
        return replace(condition, any_of=both)
    return Condition(any_of=values, none_of=values)  # no product can pass
