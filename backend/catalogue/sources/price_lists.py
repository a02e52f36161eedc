"""Several prices of one product: lists by currency, as `[{"currency": "EUR", "amount": 19.9}]`.

One of them is the price: that in the money of the product, else in the money that the first such
list of the file begins with. So all products of a file have their price in one money if they can.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from backend.catalogue.sources.cell_texts import as_text
from backend.catalogue.sources.currencies import CODES
from backend.catalogue.sources.minor_units import in_major_units
from backend.catalogue.sources.money import Price

CODE_NAMES: Final = (
    "currency",
    "currencyCode",
    "currency_code",
    "currency_iso",
    "priceCurrency",
    "Валюта",
    "currencyIso",
)
_BETWEEN: Final = re.compile(r"\s*[|;\n]\s*|\s+/\s+")
_OF_CENTS: Final = ("region_id", "variant_id", "price_list_id")
"""Members of a price of Medusa's first version, whose amounts are in the smallest unit."""
_LONGEST: Final = 20_000  # characters of a cell of JSON


_OF_COUNTRY: Final = re.compile(r"([A-Z]{3})(?:-[A-Z]{2})? (\d+)")
_BY_COUNTRY: Final = re.compile(
    r"(?:[A-Z]{3} \d+;)*[A-Z]{3}-[A-Z]{2} \d+(?:;[A-Z]{3}(?:-[A-Z]{2})? \d+)*"
)
"""Prices as commercetools writes them in CSV, in the smallest unit: `EUR-DE 1990;USD 2200`."""


def opened(cell: Any) -> Any:
    """Return what a cell of JSON holds; any other cell as it is."""
    is_json = isinstance(cell, str) and cell[:1] in ("[", "{") and len(cell) <= _LONGEST
    if not is_json:
        return cell
    try:
        found = json.loads(cell)
    except (ValueError, RecursionError):
        return cell
    return found if isinstance(found, list | dict) else cell


def one_of(cell: Any, wanted: str | None) -> Any:
    """Return the price that counts of a list, or of an object of currencies, else the cell.

    Prices from a quantity on, and those of a price list, do not count if there are others.
    """
    if isinstance(cell, Mapping) and has_several(cell):
        cell = [{key: it} for key, it in cell.items() if as_text(it)]
    if not isinstance(cell, list):
        return cell
    usual = [it for it in cell if not isinstance(it, Mapping) or _is_usual(it)]
    found = usual or cell
    chosen = next((it for it in found if wanted and code_of(it) == wanted), None)
    return chosen if chosen is not None else next(iter(found), None)


def has_several(cell: Any) -> bool:
    """Tell whether a cell holds prices in several currencies."""
    if isinstance(cell, Mapping):
        return len(cell) > 1 and all(str(it).upper() in CODES for it in cell)
    return isinstance(cell, list) and len({code for it in cell if (code := code_of(it))}) > 1


def code_of(price: Any) -> str | None:
    """Return the currency that an object says, in capital letters."""
    if not isinstance(price, Mapping):
        return None
    for name in CODE_NAMES:
        code = price.get(name)
        if isinstance(code, Mapping):
            code = code.get("code", code.get("isoCode"))
        if isinstance(code, str) and code:
            return code.upper()
    only = next(iter(price), "") if len(price) == 1 else ""
    return str(only).upper() if str(only).upper() in CODES else None


def is_in_cents(price: Mapping[str, Any]) -> bool:
    """Tell whether an object is a price of Medusa's first version: `amount` 1950 is 19.50."""
    return "currency_code" in price and any(name in price for name in _OF_CENTS)


def check_unit(price: Any) -> None:
    """Raise ValueError for a price of a list that may be in cents: `"amount": 1950` of Medusa.

    Its second version has decimals, or the exact amount beside it.
    """
    if not isinstance(price, Mapping) or "currency_code" not in price or is_in_cents(price):
        return
    amount = as_text(price.get("amount"))
    if amount.isdecimal() and "raw_amount" not in price:
        raise ValueError(
            f"the amount {amount[:20]} may be in cents or not; write it with decimals, or name "
            "another column with --map price=COLUMN"
        )


def read_several(text: str, read: Callable[[str], Price], wanted: str | None) -> Price | None:
    """Return one of several prices in a text, `19,90 EUR | 22,00 USD`; None for any other text.

    Each has to say its currency, and no two the same.
    """
    if _BY_COUNTRY.fullmatch(text):
        first, *others = [(it[1], it[2]) for it in _OF_COUNTRY.finditer(text)]
        code, amount = next((it for it in (first, *others) if it[0] == wanted), first)
        return Price(in_major_units(amount, code), code)
    parts: Sequence[str] = [part for part in _BETWEEN.split(text) if part]
    if len(parts) < 2:
        return None
    try:
        prices = {price.currency: price for price in map(read, parts)}
    except ValueError:
        return None
    if None in prices or len(prices) < len(parts):
        return None
    return prices.get(wanted) or next(iter(prices.values()))


def _is_usual(price: Mapping[str, Any]) -> bool:
    if price.get("price_list_id") or price.get("customerGroup"):
        return False
    least = price.get("min_quantity")
    return not isinstance(least, int | float) or least <= 1
