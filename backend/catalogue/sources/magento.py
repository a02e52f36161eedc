"""Magento's product export, where rows of store views follow the row that all of them share."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from backend.catalogue.sources import named_options
from backend.catalogue.sources.columns import as_text
from backend.catalogue.sources.csv_records import TableRecord
from backend.catalogue.sources.feed import Reject


def arrange(
    columns: Sequence[str], records: Iterator[TableRecord | Reject]
) -> Iterator[TableRecord | Reject]:
    """Yield the records with the columns of `named_options.ADDED`, which `columns` ends with.

    The row of a store view, such as a translation, only fills what the rows above it leave empty.
    """
    at = {name.lower(): position for position, name in reversed(list(enumerate(columns)))}
    if "sku" in at and "store_view_code" in at:
        records = _without_translations(records, at["sku"], at["store_view_code"])
    return named_options.arrange(columns, records)


def _without_translations(
    records: Iterator[TableRecord | Reject], sku_at: int, view_at: int
) -> Iterator[TableRecord | Reject]:
    sku, filled = "", set[int]()
    for record in records:
        if isinstance(record, Reject):
            yield record
            continue
        values: list[Any] = list(record.values)
        is_below = as_text(values[sku_at]) == sku and as_text(values[view_at])
        if is_below:
            for position in filled - {sku_at} | {view_at}:
                values[position] = None
        else:
            sku, filled = as_text(values[sku_at]), set()
        filled.update(position for position, value in enumerate(values) if as_text(value))
        yield record._replace(values=values)
