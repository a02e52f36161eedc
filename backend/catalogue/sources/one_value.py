"""Cells that hold several values or an object, where a field holds one text.

XML feeds repeat an element (`g:product_type`), and JSON has lists and objects: `{"name": "Ace"}`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

_NAMED: Final = (
    "value",
    "name",
    "title",
    "label",
    "displayName",
    "text",
    "$t",
    "#text",
    "Наименование",
)
"""Members of an object that hold what people read; the first that is there counts."""
_PATH: Final = ">"
_STOCK: Final = ("inStock", "in_stock", "is_in_stock", "quantity", "qty", "available", "amount")
"""Members of an object that say whether there is stock."""


def one_value(field: str, cell: Any) -> Any:
    """Return the value that counts: the deepest path for a category, else the first.

    Of an object it is the member that names it, or the first of its texts if all are texts, as in
    translations. Any other cell is returned as it is.
    """
    if isinstance(cell, str):  # most are; a look for a Mapping takes longer
        return cell
    if isinstance(cell, Mapping):
        return _of_object(field, cell)
    if not isinstance(cell, list):
        return cell
    values = [it for it in (one_value(field, each) for each in cell) if it not in (None, "")]
    if field == "article_type":
        values = [it for it in values if not isinstance(it, int)]  # numbers are no names
        return max(values, key=lambda it: str(it).count(_PATH), default=None)
    return next(iter(values), None)


def _of_object(field: str, cell: Mapping[str, Any]) -> Any:
    if field == "in_stock" and (known := [it for it in _STOCK if it in cell]):
        return True if cell.get("unlimited") is True else cell[known[0]]
    if field == "article_type" and isinstance(path := cell.get("path"), list):
        return f" {_PATH} ".join(map(str, path))
    named = next((cell[key] for key in _NAMED if cell.get(key)), None)
    if named is not None:
        return one_value(field, named)
    if len(cell) == 1:  # `{"language": ["Tee", "Maglietta"]}`
        return one_value(field, next(iter(cell.values())))
    are_texts = bool(cell) and all(isinstance(value, str) for value in cell.values())
    if are_texts and field == "article_type":  # `{"lvl0": "Apparel", "lvl1": "Apparel > Tees"}`
        return max(cell.values(), key=lambda it: it.count(_PATH))
    return next(filter(None, cell.values()), None) if are_texts else cell
