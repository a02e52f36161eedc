"""Names of columns that hold a price and say its currency: `price_eur`, `Preis CHF`, `Price €`."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from backend.catalogue.sources.currencies import SYMBOLS

_CODES: Final = {
    *("eur", "usd", "gbp", "chf", "pln", "czk", "sek", "nok", "dkk", "huf", "ron", "bgn", "try"),
    *("uah", "rub", "jpy", "cny", "inr", "aud", "cad", "nzd", "brl", "mxn", "zar", "krw", "sgd"),
    *("hkd", "ils", "aed", "sar", "thb", "idr", "myr", "vnd"),
}
"""Codes that are no words in the name of a column, as `top` and `all` are."""
_PARTS: Final = re.compile(r"[A-Z]?[^\W\d_A-Z]+|[A-Z]+|[€£¥₹₽]|\d+")
_BETWEEN: Final = ("in", "en")


@lru_cache(maxsize=256)
def price_name(name: str) -> tuple[str, str | None]:
    """Return a column's name without a currency, as `column_names.plain` does, and the currency."""
    parts = [part.lower() for part in _PARTS.findall(name)]
    found = [part for part in parts if part in _CODES or (part in SYMBOLS and not part.isalpha())]
    if len(set(found)) != 1:
        return "".join(parts), None
    bare = "".join(part for part in parts if part != found[0] and part not in _BETWEEN)
    return bare, SYMBOLS.get(found[0], found[0].upper())
