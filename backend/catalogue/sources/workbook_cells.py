"""The cells of a workbook as values: what a person sees in the cell, as far as that matters."""

from __future__ import annotations

import re
from datetime import date, datetime, time
from decimal import ROUND_HALF_UP, Decimal
from functools import lru_cache
from typing import Any, Final

from backend.catalogue.sources.currencies import CODES, SYMBOLS
from backend.catalogue.sources.wrong_cells import WrongCell

_ZEROS: Final = re.compile(r"0{2,}")
_SHOWN: Final = re.compile(r'\[\$([^\]-]+)(?:-[^\]]*)?\]|"([^"]+)"|([$€£¥₹₩₽₺₴₪₫฿])')
_CENT: Final = Decimal("0.01")


def cell_value(cell: Any) -> Any:
    """Return the value of openpyxl's cell; None for an empty one.

    A number is a text where its format shows more than the number: leading zeros (`00000`), and a
    currency (`#,##0.00 "€"`). Others have 15 digits, as many as a spreadsheet keeps. Dates become
    ISO texts, without a time at midnight.
    """
    value = cell.value
    if isinstance(value, str):
        return (
            WrongCell(f"the cell holds the error {value}")
            if cell.data_type == "e"
            else value.strip() or None
        )
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int | float):
        return _number(value, cell.number_format or "")
    if isinstance(value, datetime):
        return value.date().isoformat() if value.time() == time() else value.isoformat(" ")
    return value.isoformat() if isinstance(value, date | time) else str(value)  # or a duration


def _number(value: float, form: str) -> int | float | str:
    number = float(f"{value:.15g}")
    whole = int(number) if number.is_integer() else None
    if whole is not None and whole >= 0 and _ZEROS.fullmatch(form):
        return str(whole).zfill(len(form))
    if currency := _currency(form):
        amount = Decimal(str(number)).quantize(_CENT, rounding=ROUND_HALF_UP)
        return f"{amount} {currency}"
    return number if whole is None else whole


@lru_cache(maxsize=256)
def _currency(form: str) -> str | None:
    """Return the code of the currency that a format of numbers shows."""
    for names in _SHOWN.findall(form.partition(";")[0]):
        name = "".join(names).strip().upper()
        if name in CODES or name in SYMBOLS:
            return SYMBOLS.get(name, name)
    return None
