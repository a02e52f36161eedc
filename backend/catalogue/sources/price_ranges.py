"""Prices that say "from": `10.00 - 20.00`, `from 9.99`, `ab 9,99 €`. The lowest price counts."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from backend.catalogue.sources.money import LONGEST, POINT, Price, read_price

_FROM: Final = re.compile(
    r"^(?:starting (?:at|from)|starts at|as low as|from|ab|dès|à partir de|a partir de|desde"
    r"|a partire da|vanaf|fra|från|alkaen|od|от|від|より)\b[:.]?\s*",
    re.IGNORECASE,
)
_AND_MORE: Final = re.compile(r"\s*(?:起|から|~|〜|～|and up|\+)$", re.IGNORECASE)  # noqa: RUF001
_BETWEEN: Final = re.compile(
    r"\s*(?:[-–—~〜～]|\.\.\.?|…|\b(?:to|bis|a|à|hasta|até|tot|til|till|do|до)\b)\s*",  # noqa: RUF001
    re.IGNORECASE,
)


def ends_of(text: str) -> Sequence[str]:
    """Return the prices that a range names, the lowest first; nothing for a text that is none."""
    if len(text) > LONGEST:
        return ()
    start = _AND_MORE.sub("", _FROM.sub("", text))
    parts = _BETWEEN.split(start)
    if len(parts) == 2 and all(parts):
        return tuple(parts)
    return (start,) if start != text else ()


def read_lowest(text: str, *, decimal: str = POINT) -> Price | None:
    """Return the lowest price of a range; None for a text that is no range of prices."""
    try:
        prices = [read_price(each, decimal=decimal) for each in ends_of(text)]
    except ValueError:
        return None
    if not prices or prices[0].amount > prices[-1].amount:
        return None
    codes = {price.currency for price in prices if price.currency}
    return Price(prices[0].amount, codes.pop() if codes else None) if len(codes) < 2 else None
