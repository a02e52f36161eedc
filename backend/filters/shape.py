"""The shape of a filter: which fields it names and how, without its values."""

from __future__ import annotations

from typing import Final

from backend.filters import Condition, Schema, Where

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


def _kinds(it: Condition) -> list[str]:
    kinds = ["any"] if it.any_of else []
    if it.none_of:
        kinds.append("not")
    if it.gte is not None or it.gt is not None or it.lte is not None or it.lt is not None:
        kinds.append("range")
    return kinds
