"""How the text of a field becomes a value: one reader for each field that is not text.

A reader returns the value, or raises ValueError with the reason.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, Final

from backend.catalogue.sources import minor_units, price_lists
from backend.catalogue.sources.availability import read_availability
from backend.catalogue.sources.cell_texts import as_text
from backend.catalogue.sources.currencies import CODES, SYMBOLS
from backend.catalogue.sources.money import Price
from backend.catalogue.sources.no_values import NO_VALUE, SHEET_ERRORS
from backend.catalogue.texts import without_markup

_LONGER_YEAR: Final = re.compile(
    r"([12][0-9]{3})(?:[-/](?:[0-9]{2}|[12][0-9]{3})|-[0-9]{2}-[0-9]{2}(?:[T ].*)?)"
)
"""Two years, a month or a day: 2024/25, 2024-2025, 2024-03-01."""
_YEAR_WITHIN: Final = re.compile(r"(?<![\d,])(?:19|20)\d\d(?!\d|[.,]\d)")
"""A year among other words: 01.03.2024, Spring 2024, 2024年."""


_AMOUNTS: Final = (
    *("value", "amount", "gross", "price", "incl_tax", "regular", "regular_price"),
    *("original_amount", "calculated_amount", "price_gross", "unit_price"),
    *(
        "basePrice",
        "minimum_price",
        "minimumPrice",
        "priceRange",
        "start",
        "minVariantPrice",
        "Цена",
        "ЦенаЗаЕдиницу",
    ),
)
"""Members of an object that hold its amount, or an object that does."""
_OPEN: Final = ("[", "{")
_ARRAY: Final = re.compile(r'\{("[^"{}:]*"(?:, ?"[^"{}:]*")*|[^"{}:,]+(?:,[^"{}:,]+)*)\}')
_BLANKS: Final = str.maketrans(dict.fromkeys("\u00a0\u2007\u202f", " "))
"""Blanks at which a page breaks no line: a filter for `Bleu marine` has the usual one."""
_LONGEST_LIST: Final = 2_000  # characters


def read_text(text: str) -> str | None:
    """Read a text; an empty one, and what programs write for none, clears its field."""
    if text in NO_VALUE:
        return None
    if text in SHEET_ERRORS:
        raise ValueError(f"{text!r} is an error of a spreadsheet")
    if not text.isascii():
        text = text.translate(_BLANKS)
    if text[:1] in _OPEN and (values := _values_of(text)) is not None:
        text = max(values, key=lambda it: it.count(">"), default="")
    shown = without_markup(text)
    return (shown if shown.isascii() else shown.translate(_BLANKS)) or None


def _values_of(text: str) -> list[str] | None:
    """Return the texts that a cell lists, as JSON, Python or PostgreSQL write them.

    None for any other text, such as `[Sale] Tee`.
    """
    if array := _ARRAY.fullmatch(text):
        return [it.strip('" ') for it in array[1].split(",")]
    if not text.endswith("]") or len(text) > _LONGEST_LIST:
        return None
    try:
        values = ast.literal_eval(text)  # of a list of texts also what JSON means
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return None
    return (
        values if isinstance(values, list) and all(isinstance(it, str) for it in values) else None
    )


def _sku(text: str) -> str | None:
    return without_markup(text) or text or None


def _as_it_is(text: str) -> str | None:
    return text or None


def _year(text: str) -> int | None:
    """Read a year: also 2012.0, because a table with gaps is exported like that, and dates.

    Of two years, as in 2024/25, the first counts.
    """
    if not text:
        return None
    if longer := _LONGER_YEAR.fullmatch(text):
        return int(longer[1])
    if not re.fullmatch(r"[0-9]{1,9}(\.0+)?", text):
        if len(found := _YEAR_WITHIN.findall(text)) == 1:
            return int(found[0])
        raise ValueError(f"{text[:40]!r} is not a year")
    return int(text.partition(".")[0])


def price_of(cell: Mapping[str, Any]) -> Any:
    """Return the amount and the currency of an object, `{"value": "9.50", "currency": "EUR"}`.

    One in the smallest unit, such as `{"cents": 950}`, is a Price.
    """
    if minor := minor_units.of_object(cell):
        return Price(*minor)
    if price_lists.is_in_cents(cell) and as_text(cell.get("amount")):
        code = price_lists.code_of(cell)
        return Price(minor_units.in_major_units(as_text(cell["amount"]), code), code)
    amounts = [cell[key] for key in _AMOUNTS if key in cell]
    code = price_lists.code_of(cell) if len(cell) > 1 else None
    if not amounts and len(cell) == 1 and str(only := next(iter(cell))).upper() in CODES:
        amounts, code = [cell[only]], str(only)  # {"EUR": 9.5}
    if not amounts:
        return dict(cell) or None  # such as `{"points": 990}`, which is no price
    amount = amounts[0]
    if isinstance(amount, Mapping):
        return price_of(amount)
    return f"{as_text(amount)} {code}" if isinstance(code, str) and as_text(amount) else amount


def number_of(cell: Any) -> Price | None:
    """Return the price of a cell that holds a number, None for any other cell."""
    if isinstance(cell, bool) or not isinstance(cell, int | float | Decimal):
        return None
    amount = Decimal(str(cell))
    if not amount.is_finite() or amount < 0:
        raise ValueError(f"{cell} is not a price")
    return Price(amount, None)


def _currency(text: str) -> str | None:
    return SYMBOLS.get(text.upper(), text) or None


def _link(text: str) -> str | None:
    """Read an address as a cell may write it: with `&amp;`, or beginning with `//`."""
    text = text.replace("&amp;", "&")
    return f"https:{text}" if text.startswith("//") else text or None


def _object(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text or "{}")
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise ValueError(f"{text[:40]!r} is not a JSON object")
    return value


READERS: Final[Mapping[str, Callable[[str], Any]]] = {
    "sku": _sku,
    "year": _year,
    "currency": _currency,
    "link": _link,
    "image_uri": _as_it_is,
    "in_stock": read_availability,
    "attributes": _object,
}
"""How the text of a field becomes a value; fields that are not here are texts."""
