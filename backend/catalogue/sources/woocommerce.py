"""WooCommerce's product export: a product without a SKU is named by its ID, as `id:11`.

That is how the export itself names it, in the column Parent of its variations.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from backend.catalogue.sources.columns import as_text
from backend.catalogue.sources.csv_records import TableRecord
from backend.catalogue.sources.feed import Reject


def arrange(columns: Sequence[str], records: Iterator[TableRecord | Reject]) -> Iterator[Any]:
    """Yield the records; an empty SKU is filled from the ID."""
    at = {name.lower(): position for position, name in reversed(list(enumerate(columns)))}
    sku, number = at.get("sku"), at.get("id")
    for record in records:
        if (
            sku is None
            or number is None
            or isinstance(record, Reject)
            or as_text(record.values[sku])
            or not as_text(record.values[number])
        ):
            yield record
        else:
            values = list(record.values)
            values[sku] = f"id:{as_text(values[number])}"
            yield record._replace(values=values)
