"""Prices for people."""

from __future__ import annotations

from typing import Final

BOUNDS: Final = {"price_gte": "from", "price_lte": "to"}
"""The parameters of the range of prices in the filters, and their labels."""

WHOLE: Final = frozenset(
    ("BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "VND", "VUV")
) | {"XAF", "XOF", "XPF"}
"""Currencies without a smaller unit (ISO 4217)."""

NO_BREAK: Final = "\N{NO-BREAK SPACE}"


def price_text(price: float, currency: str | None) -> str:
    """Return a price with its currency: `1,299.00 EUR`, `1,299 JPY`."""
    number = f"{price:,.{0 if currency in WHOLE else 2}f}"
    return f"{number}{NO_BREAK}{currency}" if currency else number
