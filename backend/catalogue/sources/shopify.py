"""Shopify's product export: several rows are one product, and only the first has its texts.

Each variant is a product of ours. Rows below the first of a Handle take the texts that they leave
empty from it. Rows with an image alone add it to the variants of their Handle.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from backend.catalogue.sources import named_options
from backend.catalogue.sources.cell_texts import as_text
from backend.catalogue.sources.csv_records import TableRecord
from backend.catalogue.sources.feed import Reject

MOST_HELD: Final = 5_000
"""Rows in memory that wait for other rows of their Handle."""
LAST: Final = 1_000_000  # the place of an image whose row names none

_QUOTED_NUMBER: Final = re.compile(r"^'(?=[0-9])")
"""The quote that the export puts before a sku of digits, so that spreadsheets keep its zeros."""

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
    for group in places.groups(records):
        if isinstance(group, Reject):
            yield group
            continue
        for row in places.variants(group):
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
    title: int | None
    image: int | None
    tracker: int | None  # what counts the stock; empty: nothing does
    quantity: int | None
    position: int | None  # of the image among those of its product
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
            title=at.get("title"),
            tracker=at.get("variant inventory tracker", at.get("inventory tracker")),
            quantity=at.get("variant inventory qty", at.get("inventory quantity")),
            position=at.get("image position"),
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

    def groups(
        self, records: Iterator[TableRecord | Reject]
    ) -> Iterator[list[TableRecord] | Reject]:
        """Yield the rows of each Handle together, also where a spreadsheet has sorted them apart.

        A row without a Handle stands alone. Where more than `MOST_HELD` rows lie between, the rows
        of a Handle are two groups.
        """
        held: dict[object, list[TableRecord]] = {}
        count = 0
        for record in records:
            if isinstance(record, Reject):
                yield record
                continue
            handle = self.handle_of(record) or object()
            rows = held.pop(handle, [])
            rows.append(record)
            held[handle] = rows  # at the end: it was seen last
            count += 1
            while count > MOST_HELD:
                oldest = held.pop(next(iter(held)))
                count -= len(oldest)
                yield oldest
        yield from held.values()

    def variants(self, rows: Sequence[TableRecord]) -> Iterator[TableRecord]:
        """Yield the variants among the rows of one Handle; the Handle is the group of several."""
        images = self._images(rows)
        main = next((row for row in rows if self._has_title(row)), rows[0])
        variants = [row for row in rows if row is main or self._is_variant(row)]
        group = self.handle_of(main) if len(variants) > 1 else None
        shared = [self._first_given(rows, at) for at in self.inherited]
        unnamed = 0
        for row in variants:
            values = [*row.values, None, group]
            for at, value in zip(self.inherited, shared, strict=True):
                values[at] = values[at] if as_text(values[at]) else value
            values[self.sku] = _QUOTED_NUMBER.sub("", as_text(values[self.sku]))
            if not as_text(values[self.sku]):
                values[self.sku] = self.handle_of(row) + (f":{unnamed + 1}" if unnamed else "")
                unnamed += 1
            self._set_images(values, images)
            self._set_stock(values)
            yield row._replace(values=values)

    def _has_title(self, row: TableRecord) -> bool:
        return self.title is not None and bool(as_text(row.values[self.title]))

    @staticmethod
    def _first_given(rows: Sequence[TableRecord], at: int) -> Any:
        return next((row.values[at] for row in rows if as_text(row.values[at])), None)

    def _is_variant(self, row: TableRecord) -> bool:
        """Tell a variant from an image alone."""
        return any(as_text(row.values[at]) for at in (self.sku, *self.marks))

    def _images(self, rows: Sequence[TableRecord]) -> list[str]:
        if self.image is None:
            return []
        rows = sorted(rows, key=self._place_of_image)
        found = (as_text(row.values[self.image]) for row in rows)
        return list(dict.fromkeys(filter(None, found)))

    def _set_stock(self, values: list[Any]) -> None:
        """Drop the quantity of a variant whose stock is not tracked: it can always be bought."""
        if self.tracker is None or self.quantity is None or as_text(values[self.tracker]):
            return
        if as_text(values[self.quantity]) == "0":
            values[self.quantity] = None

    def _place_of_image(self, row: TableRecord) -> int:
        text = as_text(row.values[self.position]) if self.position is not None else ""
        return int(text) if re.fullmatch("[0-9]{1,6}", text) else LAST

    def _set_images(self, values: list[Any], images: Sequence[str]) -> None:
        """Put the variant's own image first, and all others of the Handle behind it."""
        if self.image is None:
            return
        own = as_text(values[self.variant_image]) if self.variant_image is not None else ""
        first = own or as_text(values[self.image]) or next(iter(images), "")
        values[self.image] = first
        values[-2] = [image for image in images if image != first]
