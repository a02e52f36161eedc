"""Which column of a table is which of our fields, and how its text becomes a value."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from backend.catalogue.drafts import FIELDS
from backend.errors import ConfigurationError, UnreadableCatalogue

_ALSO: Final[Mapping[str, Sequence[str]]] = {  # in addition to the field's own name
    "sku": ["id"],
    "display_name": ["productDisplayName", "productName", "name", "title"],
    "base_colour": ["baseColor", "colour", "color"],
    "image_uri": ["image", "imageUrl", "imageLink", "imagePath", "imageFile", "filename"],
}
_TRUE: Final = {"true", "yes", "y", "t", "1"}
_FALSE: Final = {"false", "no", "n", "f", "0"}


@dataclass(frozen=True, kw_only=True)
class Columns:
    """The position of each field's column; all other columns become `attributes` by their names."""

    fields: Mapping[str, int]
    attributes: Mapping[str, int]

    def sku(self, values: Sequence[Any]) -> str:
        """Return a record's sku."""
        return as_text(values[self.fields["sku"]])

    def read(self, values: Sequence[Any]) -> tuple[dict[str, Any], tuple[str, ...]]:
        """Return a record's fields, and a warning for each that could not be read and is left out.

        An empty value clears its field; that of `in_stock`, which cannot be empty, is left out.
        """
        fields: dict[str, Any] = {}
        warnings: list[str] = []
        for field, position in self.fields.items():
            text = as_text(values[position])
            try:
                fields[field] = _READ.get(field, _text)(text)
            except ValueError as wrong:
                warnings.append(f"{field}: {wrong}")
        if fields.get("in_stock", "") is None:
            del fields["in_stock"]
        open_attributes = {
            name: _open_value(values[position]) for name, position in self.attributes.items()
        }
        if open_attributes:
            fields["attributes"] = {**open_attributes, **(fields.get("attributes") or {})}
        return fields, tuple(warnings)


def match(header: Sequence[str], given: Mapping[str, str]) -> Columns:
    """Find the columns of our fields: as given, else by name, ignoring case and underscores.

    Raises ConfigurationError for a field that does not exist; UnreadableCatalogue for a column
    that does not exist, and for a table without a sku.
    """
    unknown = sorted(set(given) - {"sku", *FIELDS})
    if unknown:
        allowed = ", ".join(["sku", *FIELDS])
        raise ConfigurationError(f"there is no field {', '.join(unknown)}; there are: {allowed}")
    found = ", ".join(filter(None, header))
    fields = {field: _position(header, column, found) for field, column in given.items()}
    by_name = {_plain(name): position for position, name in reversed(list(enumerate(header)))}
    for field in ("sku", *FIELDS):
        for name in (field, *_ALSO.get(field, ())):
            position = by_name.get(_plain(name))
            if position is not None and position not in fields.values():
                fields.setdefault(field, position)
    if "sku" not in fields:
        raise UnreadableCatalogue(
            f"no column is named sku or id; there are: {found}. Name it with --map sku=COLUMN."
        )
    rest = {name: at for at, name in enumerate(header) if name and at not in fields.values()}
    return Columns(fields=fields, attributes=rest)


def _position(header: Sequence[str], column: str, found: str) -> int:
    if column not in header:
        raise UnreadableCatalogue(f"there is no column {column!r}; there are: {found}")
    return header.index(column)


def _plain(name: str) -> str:
    return re.sub(r"[\W_]+", "", name).lower()


def as_text(value: Any) -> str:
    """Return a cell of any type as stripped text, as a CSV would hold it; None and NaN are empty.

    12.0 becomes 12: a column of whole numbers with gaps is often exported as floats.
    """
    if value is None or value != value:  # noqa: PLR0124 - NaN alone differs from itself
        return ""
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, list | dict):
        return json.dumps(value, default=str, ensure_ascii=False)
    return str(value)


def _open_value(value: Any) -> Any:
    """Return a cell as an attribute can hold it; numbers, flags and lists keep their types."""
    if isinstance(value, list) and all(isinstance(item, str | int | float) for item in value):
        return value or None
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, bool | int | float) and value == value:  # noqa: PLR0124 - not NaN
        return value
    if isinstance(value, bytes):
        return None
    return as_text(value) or None


# --- one reader for each field that is not text: the value, or ValueError with the reason ----


def _text(text: str) -> str | None:
    return text or None


def _year(text: str) -> int | None:
    """Read a year, also as 2012.0, because a table with gaps is exported like that."""
    if not text:
        return None
    if not re.fullmatch(r"[0-9]{1,9}(\.0+)?", text):
        raise ValueError(f"{text[:40]!r} is not a year")
    return int(text.partition(".")[0])


def _price(text: str) -> float | None:
    if not text:
        return None
    if not re.fullmatch(r"[0-9]{1,15}(\.[0-9]*)?", text):
        raise ValueError(f"{text[:40]!r} is not a price such as 1299.50")
    return float(text)


def _flag(text: str) -> bool | None:
    if not text:
        return None
    if text.lower() not in _TRUE | _FALSE:
        raise ValueError(f"{text[:40]!r} is neither true nor false")
    return text.lower() in _TRUE


def _object(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text or "{}")
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise ValueError(f"{text[:40]!r} is not a JSON object")
    return value


_READ: Final[Mapping[str, Callable[[str], Any]]] = {
    "year": _year,
    "price": _price,
    "in_stock": _flag,
    "attributes": _object,
}
