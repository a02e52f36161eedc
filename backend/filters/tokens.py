"""Open attributes as texts in one indexed field, so that every filter on them has an index.

A payload with `attributes` gets the list `TOKENS`: `fabric="silk"`, `width=42` and `new=true` for
each value, and for each number also the ranges that hold it. For that, the size of a number is
written as digits: its exponent of ten, and 400, in three digits, then its own digits. 19.99 is
`4011999`: 401 is the exponent 1. Such texts sort like the numbers. `width>+401199` says of a number
that its digits begin with 401199 and go on. So a range is a list of tokens, at most one of ten
digits on each level (as in a radix tree), and any of them is enough.

A name holds no quotation mark (`check.kind_of`), so no two attributes share a token.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any, Final, TypeAlias

from backend.filters import OPEN_PREFIX
from backend.filters.spellings import Spellings

TOKENS: Final = "tokens"
"""The payload field that holds the tokens of a point's open attributes."""

NOTHING: Final = "#"
"""A token that no point has."""

_LONGEST: Final = 120
"""Characters of a token; a longer one is replaced by its digest, to keep the index small."""

_SHIFT: Final = 400  # so that the exponents of all floats have three digits
_EXPONENT: Final = 3  # digits
_DIGITS: Final = "0123456789"

_Bound: TypeAlias = tuple[str, bool]
"""The digits of a bound, and whether numbers of this size pass."""


def tokens_of(attributes: Mapping[str, Any]) -> list[str]:
    """Return the tokens of a product's open attributes, each once, in order."""
    found: dict[str, None] = {}
    for name, value in sorted(attributes.items()):
        if '"' not in name:
            for each in value if isinstance(value, list | tuple) else [value]:
                found |= dict.fromkeys(_stored(name, each))
    return list(found)


def value_tokens(field: str, values: Spellings) -> list[str]:
    """Return the tokens of which a point has one if the attribute equals one of the values."""
    name = field.removeprefix(OPEN_PREFIX)
    return [
        *(_short(f'{name}="{text}"') for text in values.texts),
        *(_equal(name, number) for number in (*values.integers, *values.numbers)),
        *(_short(f"{name}={str(value).lower()}") for value in values.booleans),
    ]


def range_tokens(field: str, bounds: Mapping[str, float]) -> list[str]:
    """Return the tokens of which a point has one if a number of the attribute is within bounds.

    `bounds` are one or two of `gte`, `gt`, `lte` and `lt`, at most one on each side.
    """
    name = field.removeprefix(OPEN_PREFIX)
    low = next(((bounds[key], key == "gte") for key in ("gte", "gt") if key in bounds), None)
    high = next(((bounds[key], key == "lte") for key in ("lte", "lt") if key in bounds), None)
    found = [_equal(name, 0)] if _holds_zero(low, high) else []
    for sign, least, most in (
        ("+", _size(low, +1), _size(high, +1)),
        ("-", _size(high, -1), _size(low, -1)),
    ):
        if most != _NONE:
            for is_whole, digits in _within(None if least == _NONE else least, most):
                found += _tokens_of_digits(name, sign, digits, whole=is_whole)
    return list(dict.fromkeys(found)) or [NOTHING]


# --- one value ------------------------------------------------------------------------------


def _stored(name: str, value: Any) -> Iterator[str]:
    if isinstance(value, bool):
        yield _short(f"{name}={str(value).lower()}")
    elif isinstance(value, str):
        yield _short(f'{name}="{value}"')
    elif isinstance(value, int | float) and math.isfinite(value):
        yield _equal(name, value)
        if value:
            digits, sign = _digits(abs(value)), "+" if value > 0 else "-"
            for length in range(1, len(digits)):
                yield _short(f"{name}>{sign}{digits[:length]}")


def _equal(name: str, number: float) -> str:
    return _short(f"{name}={_canonical(number)}")


def _canonical(number: float) -> str:
    """Return the same text for equal numbers: 42 and 42.0."""
    if isinstance(number, float) and number.is_integer() and abs(number) <= 2**63:
        number = int(number)
    return repr(number)


def _digits(number: float) -> str:
    """Return exponent and digits of a number above 0; such texts sort like the numbers."""
    _, digits, exponent = Decimal(_canonical(number)).as_tuple()
    text = "".join(map(str, digits))
    shown = _SHIFT + len(text) - 1 + int(exponent)
    return f"{shown:0{_EXPONENT}d}{text.rstrip('0')}"


def _short(token: str) -> str:
    if len(token) <= _LONGEST:
        return token
    return NOTHING + hashlib.blake2b(token.encode(), digest_size=16).hexdigest()


# --- a range --------------------------------------------------------------------------------

_NONE: Final = ("", False)
"""Instead of the digits of a bound: no number of this sign passes."""


def _holds_zero(low: tuple[float, bool] | None, high: tuple[float, bool] | None) -> bool:
    above = low is None or low[0] < 0 or (low[0] == 0 and low[1])
    return above and (high is None or high[0] > 0 or (high[0] == 0 and high[1]))


def _size(bound: tuple[float, bool] | None, sign: int) -> _Bound | None:
    """Return a bound among the numbers of one sign; None where there is none.

    `_NONE` stands for a bound at zero or beyond it.
    """
    if bound is None:
        return None
    number = bound[0] * sign
    return (_digits(number), bound[1]) if number > 0 else _NONE


def _within(least: _Bound | None, most: _Bound | None) -> Iterator[tuple[bool, str]]:
    """Yield (whole, digits) of all that is within bounds.

    Whole: the number with just these digits. Else: all numbers whose digits begin so and go on.
    """
    if least is None and most is None:
        for digit in _DIGITS:
            yield False, digit
    elif most is None and least:
        yield from _above(least, 0)
    elif least is None and most:
        yield from _below(most, 0)
    elif least and most and least[0] <= most[0]:
        yield from _between(least, most)


def _between(least: _Bound, most: _Bound) -> Iterator[tuple[bool, str]]:
    (low, with_low), (high, with_high) = least, most
    if low == high:
        if with_low and with_high:
            yield True, low
        return
    same = next((at for at, digit in enumerate(low) if high[at : at + 1] != digit), len(low))
    if same == len(low):  # all that is higher begins with the digits of the lower bound
        for is_whole, digits in _below(most, same):
            if digits != low or not is_whole or with_low:
                yield is_whole, digits
        return
    for digit in _DIGITS[int(low[same]) + 1 : int(high[same])]:
        yield from _node(low[:same] + digit)
    yield from _above(least, same + 1)
    yield from _below(most, same + 1)


def _above(bound: _Bound, start: int) -> Iterator[tuple[bool, str]]:
    """Yield all above a bound whose first `start` digits are the bound's."""
    digits, inclusive = bound
    if inclusive:
        yield True, digits
    yield False, digits
    for at in range(start, len(digits)):
        for digit in _DIGITS[int(digits[at]) + 1 :]:
            yield from _node(digits[:at] + digit)


def _below(bound: _Bound, start: int) -> Iterator[tuple[bool, str]]:
    """Yield all below a bound whose first `start` digits are the bound's."""
    digits, inclusive = bound
    for at in range(start, len(digits)):
        yield True, digits[:at]
        for digit in _DIGITS[: int(digits[at])]:
            yield from _node(digits[:at] + digit)
    if inclusive:
        yield True, digits


def _node(digits: str) -> Iterator[tuple[bool, str]]:
    yield True, digits
    yield False, digits


def _tokens_of_digits(name: str, sign: str, digits: str, *, whole: bool) -> list[str]:
    if not whole:
        return [_short(f"{name}>{sign}{digits}")]
    number = _number(sign, digits)
    return [] if number is None else [_equal(name, number)]


def _number(sign: str, digits: str) -> float | None:
    """Return the number that has these digits, None if there is none."""
    exponent, own = digits[:_EXPONENT], digits[_EXPONENT:]
    if not own or own[0] == "0" or own[-1] == "0":
        return None
    exact = Decimal(f"{sign}{own[0]}.{own[1:] or 0}E{int(exponent) - _SHIFT}")
    if exact == exact.to_integral_value() and abs(exact) <= 2**63:
        return int(exact)
    number = float(exact)
    is_one = math.isfinite(number) and Decimal(_canonical(number)) == exact
    return number if is_one else None  # more digits than a float has
