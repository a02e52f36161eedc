"""The XML feeds of Google Merchant Center and Facebook: RSS or Atom, with names such as `g:id`.

The file is parsed as a stream, one item at a time, so its size does not matter. A document type
that declares something is refused: with it, a small file can declare entities that expand to
gigabytes or name other files. One that only names a file is passed over; the file is never opened.

Which elements are items, `xml_item_names` finds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO, Final

from backend.catalogue.sources.csv_dialect import Header
from backend.catalogue.sources.csv_records import text_warnings
from backend.catalogue.sources.feed import CutOff, Reject
from backend.catalogue.sources.files import DAMAGED, damage
from backend.catalogue.sources.named_records import NamedRecord, NamedRecords
from backend.catalogue.sources.packing import CHUNK, Packing, unpacked
from backend.catalogue.sources.xml_item_names import FURTHER_ITEMS, ITEMS, ItemNames, find_items
from backend.catalogue.sources.xml_recovery import MendedItems
from backend.catalogue.sources.xml_text import XmlText
from backend.errors import UnreadableCatalogue

_LOOKED_AT: Final = 1_000_000  # bytes in which the items are found


class GoogleXml(NamedRecords):
    """An XML feed and the images that its items name. Items are numbered from 1."""

    form = "XML"
    _nothing = (
        "there is no item (RSS) and no entry (Atom) in this XML, nor another element that holds a "
        f"product ({', '.join(FURTHER_ITEMS)})"
    )
    _has_variants = True
    _keeps_ids = True
    _items = ItemNames(ITEMS, is_google=True)

    def _read_header(self) -> Header:
        with self._files.open(self._name) as stream:
            self._items = self._find_items(stream)
        return super()._read_header()

    def _own(self, values: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return an item with Shoptet's code as its sku; its attribute `id` is another number."""
        code = values.get("CODE")
        is_shoptets = isinstance(code, str) and "id" in values and "NAME" in values
        return {**values, "sku": code} if is_shoptets and not values.get("sku") else values

    def _find_items(self, stream: BinaryIO) -> ItemNames:
        try:
            head = unpacked(stream).read(_LOOKED_AT)
        except DAMAGED as error:
            raise UnreadableCatalogue(f"{self._name}: {damage(error)}") from None
        text = XmlText(head, encoding=self._mapping.encoding).translate(head, is_last=False)
        return find_items(text, self._mapping.columns.get("sku"))

    def _parse(self, stream: BinaryIO) -> Iterator[NamedRecord | Reject]:
        reader, packing = MendedItems(self._items), Packing()
        try:
            source = unpacked(stream, packing)
            chunk = source.read(CHUNK)
            text = XmlText(chunk, encoding=self._mapping.encoding)
            while chunk:
                yield from _noted(reader.feed(text.translate(chunk, is_last=False)), text, reader)
                chunk = source.read(CHUNK)
            last = text.translate(b"", is_last=True)
            yield from _noted(reader.feed(last, is_last=True), text, reader)
        except DAMAGED as error:
            raise UnreadableCatalogue(f"{self._name}: {damage(error)}") from None
        if reader.broken:
            if not reader.has_items():
                raise UnreadableCatalogue(f"{self._name}: {reader.broken}")
            self._cut_off = CutOff(packing.ended_early or reader.broken, is_certain=True)


def _noted(
    items: Iterator[NamedRecord | Reject], text: XmlText, reader: MendedItems
) -> Iterator[NamedRecord | Reject]:
    """Yield items; what is wrong with the encoding, or above an item, is a warning of the next."""
    for item in items:
        notes = [note for note in (text.note, reader.note) if note]
        if notes and isinstance(item, NamedRecord):
            yield item._replace(warnings=text_warnings(notes))
            text.note = reader.note = ""
        else:
            yield item
