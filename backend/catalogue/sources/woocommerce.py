"""WooCommerce's product export: a product without a SKU is named by its ID, as `id:11`.

That is how the export itself names it, in the column Parent of its variations. A product that has
variations belongs to their group.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from backend.catalogue.sources.columns import as_text
from backend.catalogue.sources.csv_records import TableRecord
from backend.catalogue.sources.feed import Reject


def arrange(columns: Sequence[str], records: Iterator[TableRecord | Reject]) -> Iterator[Any]:
    """Yield the records; an empty SKU is filled from the ID, and Parent where it is the parent."""
    at = {name.lower(): position for position, name in reversed(list(enumerate(columns)))}
    places = [at.get(name) for name in ("sku", "id", "type", "parent")]
    for record in records:
        if isinstance(record, Reject):
            yield record
        else:
            yield record._replace(values=_completed(record.values, *places))


def _completed(
    values: Sequence[Any], sku: int | None, number: int | None, kind: int | None, parent: int | None
) -> Sequence[Any]:
    if sku is None:
        return values
    completed = list(values)
    if number is not None and not as_text(values[sku]) and as_text(values[number]):
        completed[sku] = f"id:{as_text(values[number])}"
    if kind is not None and parent is not None and as_text(values[kind]).lower() == "variable":
        completed[parent] = as_text(values[parent]) or completed[sku]
    return completed
