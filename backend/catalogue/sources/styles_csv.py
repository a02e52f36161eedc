"""Kaggle's "Fashion Product Images": styles.csv, images/, and optionally styles/."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Final

from backend.catalogue.sources.feed import CutOff, Description, FeedRow, Reject
from backend.catalogue.sources.files import Files, read_if_there
from backend.catalogue.sources.table import Table

IMAGE: Final = "images/{sku}.jpg"
LARGEST_JSON: Final = 1_000_000  # bytes
FIELDS: Final = {  # of styles/{id}.json, for fields that the row leaves empty
    "productDisplayName": "display_name",
    "gender": "gender",
    "baseColour": "base_colour",
    "season": "season",
    "usage": "usage",
    "brandName": "brand",
    "price": "price",
}
ATTRIBUTES: Final = {
    "brandName": "brand",
    "ageGroup": "age_group",
    "fashionType": "fashion_type",
    "discountedPrice": "discounted_price",
    "colour1": "second_colour",
    "colour2": "third_colour",
}


class StylesCsv:
    """A styles.csv, completed with prices, brands and more from styles/{id}.json."""

    def __init__(self, files: Files, table: Table) -> None:
        self._table = table
        self._files = files
        self._has_details = files.has_folder("styles")

    def skus(self) -> Iterator[tuple[int, str]]:
        """Yield line and sku of every row, in order."""
        return self._table.skus()

    def read(self) -> Iterator[FeedRow | Reject]:
        """Yield every row, in order."""
        rows = self._table.read()
        return map(self._detailed, rows) if self._has_details else rows

    def cut_off(self) -> CutOff | None:
        """Return why the feed may have ended early."""
        return self._table.cut_off()

    def describe(self) -> Description:
        """Return how the table is read."""
        return self._table.describe()

    def close(self) -> None:
        """Close the files."""
        self._table.close()

    def _detailed(self, row: FeedRow | Reject) -> FeedRow | Reject:
        if isinstance(row, Reject):
            return row
        name = f"styles/{row.sku}.json"
        data = read_if_there(self._files, name, most=LARGEST_JSON)
        if data is None:
            return row
        try:
            details = json.loads(data)["data"]
            return replace(row, fields=_merged(row.fields, details), is_checked=False)
        except (ValueError, TypeError, LookupError, AttributeError, RecursionError):
            unread = f"{name} is not the JSON that it should be"
            return replace(row, warnings=(*row.warnings, unread))


def _merged(fields: Mapping[str, Any], details: Mapping[str, Any]) -> dict[str, Any]:
    """Lay a row's fields over its details: where both have a value, the row's is taken."""
    merged = {ours: _known(details.get(theirs)) for theirs, ours in FIELDS.items()}
    described = {ours: _known(details.get(theirs)) for theirs, ours in ATTRIBUTES.items()}
    described |= {
        name: _known(value) for name, value in dict(details.get("articleAttributes") or {}).items()
    }
    attributes = _overlaid(described, fields.get("attributes", {}))
    return _overlaid(merged, fields) | {"attributes": attributes}


def _known(value: Any) -> str | int | float | bool | None:
    """Return a value that can be used, None for all others."""
    if isinstance(value, str):
        return value.strip() or None
    known = isinstance(value, int) or (isinstance(value, float) and math.isfinite(value))
    return value if known else None


def _overlaid(under: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Combine two mappings: the first value that is not None, of `over` and then of `under`.

    A name that `over` holds stays, even where both values are None.
    """
    known = {
        name: value for side in (under, over) for name, value in side.items() if value is not None
    }
    return dict(over) | known
