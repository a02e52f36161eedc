"""Shopify's product export: several rows are one product, and only the first has its texts.

Each variant is a product of ours. Rows below the first of a Handle take the texts that they leave
empty from it. Rows with an image alone add it to the variants of their Handle.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Final

from backend.catalogue.sources import named_options
from backend.catalogue.sources.columns import as_text
from backend.catalogue.sources.csv_records import TableRecord
from backend.catalogue.sources.feed import Reject

GROUP: Final = "variant_group"
ADDED: Final = ("additional_images", GROUP, *named_options.ADDED)
_OWN: Final = re.compile(  # columns of one variant or one image, which no other row inherits
    r"variant.*|option\d+ ?(value|linked to)|sku|barcode|price.*|compare-at price|cost per item|"
    r"inventory.*|continue selling.*|weight.*|requires shipping|fulfillment service|charge tax|"
    r"image.*|product image.*|unit price.*",
    re.IGNORECASE,
)


def arrange(columns: Sequence[str], records: Iterator[TableRecord | Reject]) -> Iterator[Any]:
    """Yield a record for each variant, completed from the other rows of its Handle.

    `columns` ends with those of `ADDED`.
    """
    places = _Places.find(columns)
    if places is None:
        yield from (_padded(record) for record in records)
        return
    options = named_options.NamedOptions.find(columns)
    for _, rows in groupby(records, key=places.group_key()):
        group = list(rows)
        yield from (record for record in group if isinstance(record, Reject))
        for row in places.variants([row for row in group if isinstance(row, TableRecord)]):
            yield row._replace(values=[*row.values, *options.read(row.values)])


def _padded(record: TableRecord | Reject) -> TableRecord | Reject:
    return (
        record._replace(values=[*record.values, *(None for _ in ADDED)])
        if isinstance(record, TableRecord)
        else record
    )


@dataclass(frozen=True)
class _Places:
    """Where the columns lie that matter here."""

    handle: int
    sku: int
    image: int | None
    variant_image: int | None
    marks: Sequence[int]  # columns of which one is filled in every row of a variant
    inherited: Sequence[int]

    @classmethod
    def find(cls, columns: Sequence[str]) -> _Places | None:
        at = {name.lower(): position for position, name in reversed(list(enumerate(columns)))}
        handle = at.get("handle", at.get("url handle"))
        sku = at.get("variant sku", at.get("sku"))
        if handle is None or sku is None:
            return None
        own = ("variant price", "price", "option1 value")
        return cls(
            handle=handle,
            sku=sku,
            image=at.get("image src", at.get("product image url")),
            variant_image=at.get("variant image", at.get("variant image url")),
            marks=[at[name] for name in own if name in at],
            inherited=[
                place
                for place, name in enumerate(columns[: -len(ADDED)])
                if not _OWN.fullmatch(name)
            ],
        )

    def handle_of(self, record: TableRecord) -> str:
        """Return a record's Handle."""
        return as_text(record.values[self.handle])

    def group_key(self) -> Callable[[TableRecord | Reject], object]:
        """Return a key for neighbours of one Handle; a row without one stands alone.

        A reject belongs to the rows above it, so that those below it stay in their group.
        """
        last: object = None

        def key(record: TableRecord | Reject) -> object:
            nonlocal last
            if isinstance(record, TableRecord):
                last = self.handle_of(record) or object()
            return last

        return key

    def variants(self, rows: Sequence[TableRecord]) -> Iterator[TableRecord]:
        """Yield the variants among the rows of one Handle; the Handle is the group of several."""
        images = self._images(rows)
        variants = [row for row in rows if row is rows[0] or self._is_variant(row)]
        group = self.handle_of(rows[0]) if len(variants) > 1 else None
        unnamed = 0
        for row in variants:
            values = [*row.values, None, group]
            for at in self.inherited:
                values[at] = values[at] if as_text(values[at]) else rows[0].values[at]
            if not as_text(values[self.sku]):
                values[self.sku] = self.handle_of(row) + (f":{unnamed + 1}" if unnamed else "")
                unnamed += 1
            self._set_images(values, images)
            yield row._replace(values=values)

    def _is_variant(self, row: TableRecord) -> bool:
        """Tell a variant from an image alone."""
        return any(as_text(row.values[at]) for at in (self.sku, *self.marks))

    def _images(self, rows: Sequence[TableRecord]) -> list[str]:
        if self.image is None:
            return []
        found = (as_text(row.values[self.image]) for row in rows)
        return list(dict.fromkeys(filter(None, found)))

    def _set_images(self, values: list[Any], images: Sequence[str]) -> None:
        """Put the variant's own image first, and all others of the Handle behind it."""
        if self.image is None:
            return
        own = as_text(values[self.variant_image]) if self.variant_image is not None else ""
        first = own or as_text(values[self.image]) or next(iter(images), "")
        values[self.image] = first
        values[-2] = [image for image in images if image != first]
