"""Stock that a table counts by place: `Stock Berlin`, `inventory_main`, `Current Quantity Shop`.

Saleor writes `Berlin (warehouse quantity)`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

from backend.catalogue.sources.cell_texts import as_text

_NAME: Final = re.compile(
    r"(?:(?:current |in )?(?:stock|qty|quantity)|inventory|on hand|(?:lager)?bestand)\b\W*(\w.*)"
    r"|(\w.*?)\W*\b(?:warehouse|location|store) (?:quantity|qty|stock)\W*"
)
_OTHER: Final = re.compile(
    r"\b(?:polic|track|manage|status|state|date|codes?|ids?|units?|type|price|level|thresh|min|max"
    r"|discount|step|low|back|limit|per|item|cost|value|note|text|messag|label|shipping|sold)"
)
"""What says that a column is not a quantity at a place."""
_QUANTITY: Final = re.compile(r"-?[0-9]{1,9}(?:[.,]0+)?")


def columns_by_place(names: Sequence[str]) -> list[int]:
    """Return the columns that count the stock at a place, by their names."""
    plain = [re.sub(r"[_-]+", " ", name).strip().lower() for name in names]
    found = [(at, place) for at, name in enumerate(plain) if (place := _NAME.fullmatch(name))]
    return [at for at, place in found if not _OTHER.search(place[1] or place[2])]


def in_stock(values: Sequence[Any], places: Sequence[int]) -> bool | None:
    """Tell whether one of the places has stock; None if none of them holds a quantity."""
    texts = [as_text(values[at]) for at in places]
    counts = [float(text.replace(",", ".")) for text in texts if _QUANTITY.fullmatch(text)]
    return any(count > 0 for count in counts) if counts else None
