"""The items of an XML feed with faults: what is broken costs its own item, and the next is read."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final
from xml.parsers import expat

from backend.catalogue.sources.feed import Reject
from backend.catalogue.sources.named_records import NamedRecord
from backend.catalogue.sources.xml_item_names import ItemNames
from backend.catalogue.sources.xml_items import Items

_AFTER_ROOT: Final = expat.errors.codes[expat.errors.XML_ERROR_JUNK_AFTER_DOC_ELEMENT]
_DECLARATION: Final = re.compile(rb"^\s*<\?xml[^>]*>")
LONGEST_TAG: Final = 300  # bytes of the beginning of an item
NOT_READ: Final = "what follows was not read"
LEFT_OUT: Final = "the item was left out"


class MendedItems:
    """The items of an XML file, fed in chunks. After a fault it goes on at the next item."""

    def __init__(self, names: ItemNames) -> None:
        self._items = Items(names)
        self._fed = 0  # bytes that the present parser has got before this chunk
        self._fault: str | None = None  # behind which the next item is looked for
        self._is_in_item = self._is_after_root = False
        self._tail = b""  # what may be the beginning of that item
        self.broken = ""  # the first fault
        self.note = ""  # a fault between two items, for the next one

    def has_items(self) -> bool:
        """Tell whether an item has begun."""
        return self._items.tag is not None

    def feed(self, chunk: bytes, *, is_last: bool = False) -> Iterator[NamedRecord | Reject]:
        """Parse a chunk, and yield the items that end in it, and a reject for a broken one."""
        while True:
            if self._fault is not None:
                chunk, self._tail = self._tail + chunk, b""
                start = 0 if self._is_after_root else self._next_item(chunk)
                if start is None:
                    self._tail = chunk[-LONGEST_TAG:]
                    if is_last:
                        yield self._reject(NOT_READ)
                    return
                if self._is_in_item:
                    yield self._reject(LEFT_OUT)
                else:
                    self.note = f"{self._fault}; what follows is read all the same"
                self._restart()
                chunk = chunk[start:]
            try:
                yield from self._items.feed(chunk, is_last=is_last)
            except expat.ExpatError as error:
                yield from self._items.done()
                chunk = self._behind(error, chunk)
                continue
            self._fed += len(chunk)
            return

    def _restart(self) -> None:
        self._fault, self._fed = None, 0
        self._items.restart()

    def _behind(self, error: expat.ExpatError, chunk: bytes) -> bytes:
        """Note a fault; return what of the chunk lies behind it."""
        where = f" at line {error.lineno}, column {error.offset}" if not self.broken else ""
        self._fault = f"the XML is broken{where}: {expat.ErrorString(error.code)}"
        self.broken = self.broken or self._fault
        at = max(self._items.error_at() - self._fed, 0)
        self._is_after_root = error.code == _AFTER_ROOT
        if self._is_after_root:
            self._is_in_item = False
            return _DECLARATION.sub(b"", chunk[at:])
        self._is_in_item = self._items.is_in_item() or self._is_in_its_tag(chunk, at)
        return chunk[at + 1 :]

    def _is_in_its_tag(self, chunk: bytes, at: int) -> bool:
        """Tell whether a fault is in the tag with which an item begins."""
        before = chunk.rfind(b"<", 0, at)
        is_open = before >= 0 and b">" not in chunk[before:at]
        return self._next_item(chunk[at:]) == 0 or (
            is_open and self._next_item(chunk[before:]) == 0
        )

    def _next_item(self, data: bytes) -> int | None:
        """Return where the next item begins; None if none does, or none was seen yet."""
        if self._items.tag is None:
            return None
        begin = re.compile(rb"<" + re.escape(self._items.tag.encode()) + rb"(?=[\s>/])")
        found = begin.search(data)
        return found.start() if found else None

    def _reject(self, what: str) -> Reject:
        self._items.number += 1
        return Reject(self._items.number, None, f"{self._fault}; {what}")
