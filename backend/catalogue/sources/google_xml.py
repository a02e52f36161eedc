"""The XML feeds of Google Merchant Center and Facebook: RSS or Atom, with names such as `g:id`.

The file is parsed as a stream, one item at a time, so its size does not matter. A document type is
refused: with it, a small file can declare entities that expand to gigabytes or name other files.
"""

from __future__ import annotations

import html
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO, Final
from xml.parsers import expat

from backend.catalogue.sources.encodings import CHUNK, Packing, unpacked
from backend.catalogue.sources.feed import CutOff, Reject
from backend.catalogue.sources.files import DAMAGED
from backend.catalogue.sources.named_records import NamedRecord, NamedRecords
from backend.errors import UnreadableCatalogue

ITEMS: Final = {"item", "entry"}  # of RSS, of Atom
LARGEST_ITEM: Final = 1_000_000  # characters of text in one item
MOST_ELEMENTS: Final = 10_000  # in one item
DEEPEST: Final = 50  # elements within elements


class GoogleXml(NamedRecords):
    """An XML feed and the images that its items name. Items are numbered from 1."""

    form = "XML"
    _nothing = "there is no item (RSS) and no entry (Atom) in this XML"

    def _parse(self, stream: BinaryIO) -> Iterator[NamedRecord | Reject]:
        reader, packing = _Items(self._mapping.encoding), Packing()
        try:
            source = unpacked(stream, packing)
            while chunk := source.read(CHUNK):
                yield from reader.feed(chunk, is_last=False)
            yield from reader.feed(b"", is_last=True)
        except expat.ExpatError as error:
            yield from reader.done()
            where = f"line {error.lineno}, column {error.offset}"
            broken = f"the XML is broken at {where}: {expat.ErrorString(error.code)}"
            if reader.number == 0:
                raise UnreadableCatalogue(f"{self._name}: {broken}") from None
            self._cut_off = CutOff(packing.ended_early or broken, is_certain=True)
            yield Reject(reader.number + 1, None, f"{broken}; what follows was not read")
        except DAMAGED as error:
            raise UnreadableCatalogue(f"{self._name}: the file is damaged: {error}") from None


class _Element:
    """An element that is open: its text, and the values of the elements inside."""

    def __init__(self, tag: str, attributes: Mapping[str, str]) -> None:
        self.tag, self.attributes = tag, attributes
        self.text: list[str] = []
        self.inside: dict[str, Any] = {}
        self._prefixed: set[str] = set()

    def value(self) -> Any:
        """Return its text, or the values inside; an Atom link is its address."""
        if self.inside:
            return self.inside
        return "".join(self.text).strip() or self.attributes.get("href") or None

    def add(self, tag: str, value: Any) -> None:
        """Add the value of an element inside; one that is repeated becomes a list.

        Names with a prefix win: in Atom, `id` is the address of the entry and `g:id` the sku.
        """
        prefix, _, name = tag.rpartition(":")
        if value is None or (not prefix and name in self._prefixed):
            return
        if prefix and name not in self._prefixed:
            self._prefixed.add(name)
            self.inside[name] = value
        elif name not in self.inside:
            self.inside[name] = value
        elif isinstance(self.inside[name], list):
            self.inside[name].append(value)
        else:
            self.inside[name] = [self.inside[name], value]


class _Items:
    """The items of an XML file, fed in chunks."""

    def __init__(self, encoding: str | None) -> None:
        self.number = 0  # of the items that have ended
        self._open: list[_Element] = []  # the item and the elements open in it
        self._depth = self._size = self._elements = 0
        self._ready: list[NamedRecord | Reject] = []
        self._parser = parser = expat.ParserCreate(encoding)
        parser.buffer_text = True
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._text
        parser.StartDoctypeDeclHandler = _refuse_doctype
        parser.EntityDeclHandler = _refuse_doctype
        parser.UseForeignDTD(True)  # makes an undeclared entity a skipped one, not an error
        parser.SkippedEntityHandler = self._entity

    def feed(self, chunk: bytes, *, is_last: bool) -> Iterator[NamedRecord | Reject]:
        """Parse a chunk, and yield the items that end in it. Raises ExpatError."""
        self._parser.Parse(chunk, is_last)
        yield from self.done()

    def done(self) -> Iterator[NamedRecord | Reject]:
        """Yield the items that have ended and were not yet yielded."""
        ready, self._ready = self._ready, []
        yield from ready

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        if self._depth > DEEPEST:
            raise UnreadableCatalogue(f"the XML has elements more than {DEEPEST} deep")
        if self._open:
            self._elements += 1
            self._size += sum(map(len, attributes.values()))
            self._open.append(_Element(tag, {} if self._is_too_large() else attributes))
        elif tag.rpartition(":")[2] in ITEMS:
            self._open = [_Element(tag, attributes)]
            self._size = self._elements = 0

    def _end(self, tag: str) -> None:
        self._depth -= 1
        if not self._open:
            return
        element = self._open.pop()
        if self._open:
            if not self._is_too_large():
                self._open[-1].add(element.tag, element.value())
            return
        self.number += 1
        if self._is_too_large():
            reason = (
                f"the item has more than {LARGEST_ITEM:,} characters or {MOST_ELEMENTS:,} elements"
            )
            self._ready.append(Reject(self.number, None, reason))
        else:
            self._ready.append(NamedRecord(self.number, element.inside))

    def _text(self, text: str) -> None:
        if self._open:
            self._size += len(text)
            if not self._is_too_large():
                self._open[-1].text.append(text)

    def _entity(self, name: str, _is_parameter: bool) -> None:
        """Read an entity of HTML, such as `&nbsp;`, which feeds use without declaring it."""
        self._text(html.unescape(f"&{name};"))

    def _is_too_large(self) -> bool:
        return self._size > LARGEST_ITEM or self._elements > MOST_ELEMENTS


def _refuse_doctype(*_: object) -> None:
    raise UnreadableCatalogue("the XML has a document type (DTD), which is refused for safety")
