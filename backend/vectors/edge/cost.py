"""How long a filter may keep the embedded engine busy, by an estimate made before it is asked.

The engine holds the interpreter's lock through a call: no other request is answered meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Final

from backend.errors import FilterTooCostly
from backend.filters import Scalar, Schema, Where
from backend.filters.check import Kind, bounds_of, kind_of
from backend.filters.spellings import Spellings
from backend.vectors.translate import FEW

READ_NANOSECONDS: Final = 2_000
"""One condition on an open attribute of one point, whose payload is read for it.

Measured with payloads of a dozen members: 200 conditions on 1,000 points took 0.44 s.
"""

TOKENS_NANOSECONDS: Final = 100
"""One condition on the tokens of one point: a twentieth of a condition that reads a payload
(`benchmarks/attribute_tokens.py`, 17 tokens each)."""

COMPARE_NANOSECONDS: Final = 25
"""One condition on an indexed field: 1,000 of them on 1,000 points took 0.012 to 0.028 s."""

MOST_SECONDS: Final = 1.0

ALWAYS: Final = 4
"""Conditions on open attributes that are answered whatever they cost: those of one clause."""

CHEAP: Final = 40
"""So many values of indexed fields are compared with a million points in a second."""


def check_cost(
    where: Where | None,
    schema: Schema,
    passing: Callable[[Where], int],
    *,
    tokens: bool = False,
) -> None:
    """Raise FilterTooCostly if a filter would take longer than MOST_SECONDS.

    `passing` estimates how many points pass a filter on indexed fields; it is called only for
    filters of many conditions. The engine has to compare all of these with the other conditions.
    With `tokens` the points hold the tokens of their open attributes.
    """
    given = where or {}
    if _is_small(given, schema):
        return
    open_ones = {field: it for field, it in given.items() if field not in schema}
    read = _count(open_ones, schema, tokens=tokens)
    compared = _count(given, schema, tokens=tokens) - read
    if read <= ALWAYS and compared <= CHEAP:
        return
    one = TOKENS_NANOSECONDS if tokens else READ_NANOSECONDS
    each = (read if read > ALWAYS else 0) * one + compared * COMPARE_NANOSECONDS
    indexed = {field: it for field, it in given.items() if field in schema}
    seconds = each * passing(indexed if read > ALWAYS else {}) / 1e9
    if seconds > MOST_SECONDS:
        raise FilterTooCostly(
            f"the filter has {read} conditions on attributes that are no facets and {compared} "
            f"others; on this catalogue that takes about {seconds:.1f} s, and "
            f"{MOST_SECONDS:g} s are allowed: name fewer, or declare the attributes as facets"
        )


def _is_small(where: Where, schema: Schema) -> bool:
    """Tell whether a filter is certainly cheap; faster than counting its conditions."""
    read = compared = 0
    for field, it in where.items():
        values = len(it.any_of) + len(it.none_of)
        if field in schema:
            compared += values + 1
        else:
            read += values + bool(it.any_of) + bool(it.none_of) + bool(bounds_of(it))
    return read <= ALWAYS and compared <= CHEAP


def _count(where: Where, schema: Schema, *, tokens: bool) -> int:
    """Count the engine's conditions."""
    return sum(
        _conditions(kind_of(field, schema), it.any_of, tokens=tokens)
        + _conditions(kind_of(field, schema), it.none_of, tokens=tokens)
        + bool(bounds_of(it))
        for field, it in where.items()
    )


def _conditions(kind: Kind, values: Collection[Scalar], *, tokens: bool) -> int:
    """Return how many conditions `translate.matches` makes of these values."""
    if kind in ("keyword", "integer") or (kind == "attribute" and tokens):
        return bool(values)
    it = Spellings.for_kind(kind, values)
    is_one = kind == "attribute" and len(it.numbers) > FEW
    numbers = 2 if is_one else len(it.numbers)
    return bool(it.texts) + bool(it.integers) + numbers + len(it.booleans)
