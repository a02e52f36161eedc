"""One JSON document with all products: a list of objects, an object that holds it, or them.

It is decoded one object at a time, so the size of the file does not matter.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Collection, Iterator
from typing import Any, BinaryIO, Final

from backend.catalogue.sources.csv_records import text_warnings
from backend.catalogue.sources.encodings import TextFormat, open_lines
from backend.catalogue.sources.feed import CutOff, Reject
from backend.catalogue.sources.files import DAMAGED, damage
from backend.catalogue.sources.json_shapes import LIST_BEGINS, NAMED, item_of, object_of_items
from backend.catalogue.sources.loose_json import (
    ABOVE,
    BETWEEN,
    decoded,
    decoder,
    end_of_object,
    next_item,
)
from backend.catalogue.sources.named_records import NamedRecord, NamedRecords
from backend.catalogue.sources.packing import CHUNK, Packing
from backend.errors import UnreadableCatalogue

LARGEST_ITEM: Final = 1_000_000  # characters


def is_document(head: str) -> bool:
    """Tell a document from JSON Lines: a list, an object around a list, an object of many lines.

    An object that is named by its skus is one too. `head` begins with the list or the object.
    """
    text = head.lstrip()
    first_line = text.partition("\n")[0].strip()
    if text.startswith("[") or first_line == "{" or LIST_BEGINS.match(text):
        return True
    return object_of_items(text) is not None


class JsonDocument(NamedRecords):
    """A JSON document and the images that its items name. Items are numbered from 1."""

    form = "JSON"
    _has_variants = True
    _nothing = "there is no JSON object in it"

    def _parse(self, stream: BinaryIO) -> Iterator[NamedRecord | Reject]:
        packing = Packing()
        try:
            lines, found = open_lines(stream, packing, encoding=self._mapping.encoding)
            items = _Items(_Text(lines, found))
            yield from _noted(iter(items), found.note)
        except DAMAGED as error:
            raise UnreadableCatalogue(f"{self._name}: {damage(error)}") from None
        reason = packing.ended_early or items.broken
        self._cut_off = CutOff(reason, is_certain=True) if reason else None


def _noted(
    items: Iterator[NamedRecord | Reject], note: str | None
) -> Iterator[NamedRecord | Reject]:
    """Yield items; what is said of the whole file is a warning of the first of them."""
    for item in items:
        if note and isinstance(item, NamedRecord):
            yield item._replace(warnings=text_warnings([note]))
            note = None
        else:
            yield item


class _Text:
    """The text of a file, read in chunks."""

    def __init__(self, stream: BinaryIO, form: TextFormat) -> None:
        encoding = form.fallback if form.fallback and form.note else "utf-8"
        self._stream = stream
        self._decoder = codecs.getincrementaldecoder(encoding)(errors="replace")
        self.text = ""
        self.is_at_end = False

    def more(self) -> None:
        chunk = self._stream.read(CHUNK)
        self.is_at_end = not chunk
        self.text += self._decoder.decode(chunk, not chunk)

    def skip(self, count: int) -> None:
        self.text = self.text[count:]

    def skip_between(self) -> None:
        between = BETWEEN.match(self.text)
        self.skip(between.end() if between else 0)


class _Items:
    """The items of a document; `broken` says why what follows them could not be read."""

    def __init__(self, source: _Text) -> None:
        self._source = source
        self._number = 0
        self._names: Collection[str] = ()  # of the last item that could be read
        self._end = ""  # what closes the list or object of items; items in a row have none
        self._is_lost = False  # nothing shows where the next item begins
        self.broken: str | None = None

    def __iter__(self) -> Iterator[NamedRecord | Reject]:
        self._open()
        while (item := self._next()) is not None:
            self._number += 1
            yield item
            if self._is_lost:
                return

    def _open(self) -> None:
        """Skip what stands above the first item, and note how the items end."""
        source = self._source
        while not source.is_at_end and len(source.text) < CHUNK:
            source.more()
        if above := ABOVE.match(source.text):
            source.skip(above.end())
        text = source.text
        before = LIST_BEGINS.match(text) or re.match(r"\s*\[", text)
        if before:
            self._end = "]"
        elif before := object_of_items(text):
            self._end = "}"
        source.skip(before.end() if before else 0)

    def _next(self) -> NamedRecord | Reject | None:
        source = self._source
        while True:
            source.skip_between()
            if self._end and source.text.startswith(self._end):
                return None
            if source.text or source.is_at_end:
                break
            source.more()
        if not source.text:
            self.broken = "the JSON ends before its list is closed" if self._end else None
            return None
        return self._decoded(self._name() if self._end == "}" else None)

    def _name(self) -> str | None:
        """Take the name of the next item; None, and nothing is taken, if it has none."""
        source = self._source
        while not (named := NAMED.match(source.text)):
            if source.is_at_end or len(source.text) > CHUNK:
                return None
            source.more()
        source.skip(named.end())
        return str(json.loads(named[1]))

    def _decoded(self, sku: str | None) -> NamedRecord | Reject:
        source = self._source
        while True:
            wrong = "its end is missing"
            try:
                value, end = decoder.raw_decode(source.text)
                if end < len(source.text) or source.is_at_end:
                    source.skip(end)
                    return self._record(value, sku)
            except (ValueError, RecursionError):
                if whole := end_of_object(source.text):
                    try:
                        value = decoded(source.text[:whole])
                    except ValueError as error:
                        wrong = str(error)
                    else:
                        source.skip(whole)
                        return self._record(value, sku)
            if source.is_at_end or len(source.text) > LARGEST_ITEM:
                return self._broken(wrong)
            source.more()
            source.skip_between()

    def _broken(self, wrong: str) -> Reject:
        """Leave out an item that cannot be read, and all behind it if nothing shows the next."""
        said = f"the JSON is broken in item {self._number + 1}: {wrong}"
        self.broken = self.broken or said
        found = None if self._end == "}" else next_item(self._source.text, self._names)
        if found is None:
            self._is_lost = True
            return Reject(self._number + 1, None, f"{said}; what follows was not read")
        self._source.skip(found)
        return Reject(self._number + 1, None, f"{said}; it was left out")

    def _record(self, value: Any, sku: str | None) -> NamedRecord | Reject:
        number = self._number + 1
        if not isinstance(value, dict):
            return Reject(number, None, "not a JSON object")
        self._names = value.keys()
        return NamedRecord(number, item_of(value, sku))
