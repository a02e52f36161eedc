"""Magento's product export: rows of store views follow the row that all of them share.

A configurable product names its variants in `configurable_variations`, and belongs to their group.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any, Final

from backend.catalogue.sources import named_options
from backend.catalogue.sources.cell_texts import as_text
from backend.catalogue.sources.csv_records import TableRecord
from backend.catalogue.sources.feed import Reject

MOST_HELD: Final = 5_000
"""Rows in memory that wait for the configurable product that names them, which follows them."""
MOST_KNOWN: Final = 500_000
"""Variants that were named and have not come yet."""

GROUP: Final = "configurable_group"
ADDED: Final = (GROUP, *named_options.ADDED)
ADDED_TO_FIRST_VERSION: Final = ("additional_images", *named_options.ADDED)
_VARIANT: Final = re.compile(r"(?:^|[,|])\s*sku=([^,|]*)")


def arrange_first_version(
    columns: Sequence[str], records: Iterator[TableRecord | Reject]
) -> Iterator[TableRecord | Reject]:
    """Yield the products of Magento 1 with the columns of `ADDED_TO_FIRST_VERSION`.

    Rows without a sku belong to the product above them, and name further images.
    """
    at = {name.lower(): position for position, name in reversed(list(enumerate(columns)))}
    joined = _with_rows_below(records, at.get("sku", 0), at.get("_media_image"))
    return named_options.arrange(columns, joined)


def _with_rows_below(
    records: Iterator[TableRecord | Reject], sku_at: int, media_at: int | None
) -> Iterator[TableRecord | Reject]:
    product: TableRecord | None = None
    images: list[str] = []
    for record in records:
        is_product = isinstance(record, TableRecord) and as_text(record.values[sku_at])
        if product is not None and (is_product or isinstance(record, Reject)):
            yield product._replace(values=[*product.values, images])
            product, images = None, []
        if isinstance(record, Reject):
            yield record
            continue
        product = product or record
        if media_at is not None and (image := as_text(record.values[media_at])):
            images.append(image)
    if product is not None:
        yield product._replace(values=[*product.values, images])


def arrange(
    columns: Sequence[str], records: Iterator[TableRecord | Reject]
) -> Iterator[TableRecord | Reject]:
    """Yield the records with the columns of `ADDED`, which `columns` ends with.

    The row of a store view, such as a translation, only fills what the rows above it leave empty.
    """
    at = {name.lower(): position for position, name in reversed(list(enumerate(columns)))}
    if "sku" in at and "store_view_code" in at:
        records = _without_translations(records, at["sku"], at["store_view_code"])
    grouped = _with_groups(records, at.get("sku"), at.get("configurable_variations"))
    return named_options.arrange(columns, grouped)


def _with_groups(
    records: Iterator[TableRecord | Reject], sku_at: int | None, variations_at: int | None
) -> Iterator[TableRecord | Reject]:
    """Add to each record the sku of the configurable product that names it, or nothing.

    Magento writes the variants above their product, so rows wait for those below them.
    """
    groups: dict[str, str] = {}
    held: deque[TableRecord | Reject] = deque()

    def first() -> TableRecord | Reject:
        record = held.popleft()
        if isinstance(record, Reject):
            return record
        sku = as_text(record.values[sku_at]) if sku_at is not None else ""
        return record._replace(values=[*record.values, groups.get(sku)])

    for record in records:
        held.append(record)
        if isinstance(record, TableRecord) and sku_at is not None and variations_at is not None:
            _note_variants(record, sku_at, variations_at, groups)
        if variations_at is None or len(held) > MOST_HELD:
            yield first()
    while held:
        yield first()


def _note_variants(
    record: TableRecord, sku_at: int, variations_at: int, groups: dict[str, str]
) -> None:
    """Note the group of each variant that `sku=A,size=S|sku=B,size=M` names, and of the product."""
    skus = [sku.strip() for sku in _VARIANT.findall(as_text(record.values[variations_at]))]
    if not skus:
        return
    group = as_text(record.values[sku_at])
    groups.update(dict.fromkeys([*filter(None, skus), group], group))
    while len(groups) > MOST_KNOWN:
        del groups[next(iter(groups))]


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
