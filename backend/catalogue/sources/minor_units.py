"""Prices in the smallest unit of their money: `price_cents` = 1990 is 19.90.

How many decimals a currency has is what ISO 4217 says: yen have none, Kuwaiti dinars have three.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

from backend.catalogue.sources.cell_texts import as_text

_NONE: Final = frozenset(
    [
        *("BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "VND"),
        *("VUV", "XAF", "XOF", "XPF"),
    ]
)
_THREE: Final = frozenset(["BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"])
_USUAL: Final = 2
_NAME: Final = re.compile(
    r"(?:(?:unit|sale|sales|selling|list|regular|retail|gross|base|current|variant|product|item)?"
    r"(?:price|amount|preis))(?:in)?(?:cents?|pence|minor(?:units?)?)|unitamount|centamount"
)
_AMOUNTS: Final = (
    *("cents", "centAmount", "unit_amount", "amount_cents", "amount_in_cents", "amountCents"),
    *("price_cents", "price_in_cents", "value_in_cents", "amount_minor", "minor_units"),
)
_CODES: Final = ("currency", "currencyCode", "currency_code", "currency_iso")
_WHOLE: Final = re.compile(r"([0-9]{1,14})(?:\.0+)?")


def is_minor_name(name: str) -> bool:
    """Tell whether a column says that it holds the smallest units: `price_in_cents`."""
    return bool(_NAME.fullmatch(re.sub(r"[\W_]+", "", name).lower()))


def in_major_units(text: str, code: str | None, digits: int | None = None) -> Decimal:
    """Return an amount of the smallest units in the usual unit of a currency.

    Raises ValueError for what is no whole number: such a price is perhaps no number of cents.
    """
    if not (found := _WHOLE.fullmatch(text)):
        raise ValueError(f"{text[:40]!r} is not a whole number of cents")
    return Decimal(found[1]).scaleb(-(_decimals(code) if digits is None else digits))


def of_object(cell: Mapping[str, Any]) -> tuple[Decimal, str | None] | None:
    """Return the amount and the currency of `{"cents": 1990, "currency": "EUR"}`.

    None for an object that names no such amount. Raises ValueError as `in_major_units`.
    """
    if as_text(micros := cell.get("amountMicros")):
        return in_major_units(as_text(micros), None, 6), _code(cell)
    name = next((it for it in _AMOUNTS if as_text(cell.get(it))), None)
    if name is None:
        return None
    code = _code(cell)
    digits = cell.get("fractionDigits")
    is_given = isinstance(digits, int) and 0 <= digits <= 4
    return in_major_units(as_text(cell[name]), code, digits if is_given else None), code


def _code(cell: Mapping[str, Any]) -> str | None:
    return next((as_text(cell[it]).upper() for it in _CODES if as_text(cell.get(it))), None)


def _decimals(code: str | None) -> int:
    code = (code or "").upper()
    return 0 if code in _NONE else 3 if code in _THREE else _USUAL
