"""Which stored JSON values count as equal to the values of a filter."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from backend.filters import Scalar
from backend.filters.check import EXACT_IN_FLOAT, Kind, accepts

T = TypeVar("T")

FLOATS: Final = "floats"
"""The member of a payload that repeats the floats of open attributes as texts (`float_token`).

The engines compare texts and integers with a list in one condition, floats only one by one.
"""

_LONGEST_INTEGER: Final = 20
"""Characters of an integer of 64 bits; Python reads none of more than 4,300 digits."""

_JSON_NUMBER = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?", re.ASCII)


@dataclass(frozen=True)
class Spellings:
    """The JSON values that count as equal to one of the values asked for, by JSON type.

    `numbers` are compared as floats, so that 42 also equals 42.0; `integers` exactly.
    """

    texts: tuple[str, ...] = ()
    integers: tuple[int, ...] = ()
    numbers: tuple[float, ...] = ()
    booleans: tuple[bool, ...] = ()

    @classmethod
    def for_kind(cls, kind: Kind, values: Collection[Scalar]) -> Spellings:
        """Return the spellings of the values of any field."""
        return cls.of(values) if kind == "attribute" else cls.typed(kind, values)

    @classmethod
    def typed(cls, kind: Kind, values: Collection[Any]) -> Spellings:
        """Return the spellings of a typed field's values; these are stored in that type only."""
        group = _distinct(values)
        if kind == "keyword":
            return cls(texts=group)
        if kind == "integer":
            return cls(integers=group)
        return cls(numbers=group) if kind == "float" else cls(booleans=group)

    @classmethod
    def of(cls, values: Iterable[Scalar]) -> Spellings:
        """Return the spellings of an attribute's values, in every type that counts as equal."""
        given = list(values)
        meant = [_meaning(value) for value in given]
        numbers = [it for it in meant if not isinstance(it, bool | str)]
        large = [it for it in numbers if isinstance(it, int) and abs(it) >= EXACT_IN_FLOAT]
        inexact = set(large)
        return cls(
            texts=_distinct(map(_text, given)),
            integers=_distinct(large),
            numbers=_distinct(it for it in numbers if it not in inexact),
            booleans=_distinct(it for it in meant if isinstance(it, bool)),
        )


def float_token(value: float) -> str:
    """Return the text that stands for a number, the same for 42 and 42.0."""
    return repr(float(value) + 0.0)  # -0.0 becomes 0.0


def _distinct(values: Iterable[T]) -> tuple[T, ...]:
    return tuple(dict.fromkeys(values))


def _text(value: Scalar) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def _meaning(value: Scalar) -> Scalar:
    """Return the boolean or number that a text spells in JSON, or the value itself."""
    if not isinstance(value, str):
        return value
    if value in ("true", "false"):
        return value == "true"
    if not _JSON_NUMBER.fullmatch(value):
        return value
    is_integer = not set(value) & set(".eE")
    if is_integer and len(value) > _LONGEST_INTEGER:
        return value
    number = int(value) if is_integer else float(value)
    return number if accepts("float", number) else value  # too large to be stored as a number
