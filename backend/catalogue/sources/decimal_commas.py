"""Amounts that a comma divides, because the file writes them without quotes.

`A1,Shirt,39,90,red` has one value more than the header. Whether the comma is a decimal one is found
from the first rows of the file, so that a comma in a name is not taken for one in a price. In
`A1,Sofa,1,299.00,red` it can only be that of the thousands.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from backend.catalogue.sources.column_names import plain
from backend.catalogue.sources.csv_dialect import Header

_WHOLE: Final = re.compile(r"\s*[^\d\s.,-]{0,4}\s*\d{1,3}(?:[.' ]?\d{3})*\s*")
_REST: Final = re.compile(r"\d{3}\.\d{2}\s*[^\d.,]{0,10}")
_DECIMALS: Final = re.compile(r"\d{2}\s*[^\d.,]{0,10}")
_GROUP: Final = re.compile(r"\d{3}\s*(?:円|원|₫|Ft)?")
_OF_YEN: Final = re.compile(r"[¥￥₩₫]\s*\d{1,3}")
"""Of money without decimals the comma can only stand between thousands: ¥1,980."""
_POINT: Final = re.compile(r"\d\.\d{1,2}(?!\d)")
_AMOUNTS: Final = re.compile(
    r"price|preis|prix|precio|prezzo|prijs|cena|pris|hinta|fiyat|cost|amount|msrp|uvp|rrp|цена"
)


def names_an_amount(name: str) -> bool:
    """Tell whether a column or an element holds money, by its name."""
    return bool(_AMOUNTS.search(plain(name)))


def columns_of_amounts(names: Sequence[str], price: int | None) -> list[int]:
    """Return the columns that hold money, by their names."""
    return [at for at, name in enumerate(names) if at == price or names_an_amount(name)]


def are_divided(rows: Sequence[str], header: Header, amounts: Sequence[int]) -> bool:
    """Tell whether rows show amounts that a decimal comma divides, and none with a point."""
    found, columns = False, len(header.columns)
    with suppress(csv.Error):
        for values in header.reader(rows):
            if len(values) == columns and any(_POINT.search(values[at]) for at in amounts):
                return False
            found |= bool(with_whole_amounts(values, columns, amounts, are_decimal=True))
    return found


def with_whole_amounts(
    values: Sequence[str], columns: int, amounts: Sequence[int], *, are_decimal: bool
) -> list[str] | None:
    """Return values with their amounts put together; None if they do not fit the header then.

    `are_decimal`: a comma may stand before two decimals, else only between thousands.
    """
    joined = list(values)
    for at in amounts:
        if len(joined) <= columns or at + 1 >= len(joined):
            break
        rest = joined[at + 1]
        is_rest = _REST.fullmatch(rest) or (are_decimal and _DECIMALS.fullmatch(rest))
        is_rest = is_rest or (_GROUP.fullmatch(rest) and _OF_YEN.fullmatch(joined[at].strip()))
        if is_rest and _WHOLE.fullmatch(joined[at]):
            joined[at : at + 2] = [f"{joined[at]},{joined[at + 1]}"]
    return joined if len(joined) == columns and len(values) > columns else None
