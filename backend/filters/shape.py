"""The shape of a filter: which fields it names and how, without its values."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from backend.filters import Condition, Schema, Where
from backend.filters.check import bounds_of

UNDECLARED: Final = "attributes.*"
"""Stands for every attribute that is no facet: clients may use any number of names."""


def clauses(where: Where | None) -> list[tuple[str, str]]:
    """Return the (field, kind) of each clause; kinds are `any`, `not` and `range`."""
    return [(field, kind) for field, it in sorted((where or {}).items()) for kind in _kinds(it)]


def shape(where: Where | None, schema: Schema) -> str:
    """Return a filter's shape, such as `gender:any year:range`; empty without a filter."""
    if not where:
        return ""
    named = {(field if field in schema else UNDECLARED, kind) for field, kind in clauses(where)}
    return " ".join(sorted(f"{field}:{kind}" for field, kind in named))


def _kinds(condition: Condition) -> Iterator[str]:
    if condition.any_of:
        yield "any"
    if condition.none_of:
        yield "not"
    if bounds_of(condition):
        yield "range"
