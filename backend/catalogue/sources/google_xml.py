"""The XML feeds of Google Merchant Center and Facebook: RSS or Atom, with names such as `g:id`.

The file is parsed as a stream, one item at a time, so its size does not matter. A document type
that declares something is refused: with it, a small file can declare entities that expand to
gigabytes or name other files. One that only names a file is passed over; the file is never opened.

Where no element is an item of RSS or Atom, those of other shops' feeds are: `<product>`, `<offer>`.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO, Final
from xml.parsers import expat

from backend.catalogue.sources.csv_dialect import Header
from backend.catalogue.sources.csv_records import text_warnings
from backend.catalogue.sources.encodings import CHUNK, Packing, unpacked
from backend.catalogue.sources.feed import CutOff, Reject
from backend.catalogue.sources.files import DAMAGED
from backend.catalogue.sources.named_records import NamedRecord, NamedRecords
from backend.catalogue.sources.xml_categories import CATEGORY_ID, CategoryTree
from backend.catalogue.sources.xml_text import XmlText
from backend.errors import UnreadableCatalogue

ITEMS: Final = frozenset(["item", "entry"])  # of RSS, of Atom
FURTHER_ITEMS: Final = (
    *("product", "offer", "shopitem", "article", "artikel", "produkt", "produit", "prodotto"),
    *("producto", "produto", "good", "goods", "row", "record", "o"),
)
"""Elements that are items in other shops' feeds, where no item of RSS or Atom is."""
_ANY_ELEMENT: Final = re.compile(rb"<(?:[\w.-]+:)?([\w.-]+)[\s/>]")
_LOOKED_AT: Final = 1_000_000  # bytes in which the first item is found
_NAMES: Final = ("name", "attribute-id", "code", "key")
_VALUES: Final = ("href", "path", "src", "url", "value")
"""Attributes of XML that name what an element holds, and those that hold it."""
GOOGLES_PREFIX: Final = "g"  # also where nothing declares it
GOOGLES: Final = {"http://base.google.com/ns/1.0", "https://base.google.com/ns/1.0"}
LARGEST_ITEM: Final = 1_000_000  # characters of text in one item
MOST_ELEMENTS: Final = 10_000  # in one item
DEEPEST: Final = 50  # elements within elements


class GoogleXml(NamedRecords):
    """An XML feed and the images that its items name. Items are numbered from 1."""

    form = "XML"
    _nothing = (
        "there is no item (RSS) and no entry (Atom) in this XML, nor another element that holds a "
        f"product ({', '.join(FURTHER_ITEMS)})"
    )
    _items: frozenset[str] = ITEMS

    def _read_header(self) -> Header:
        with self._files.open(self._name) as stream:
            self._items = _find_items(self._name, stream)
        return super()._read_header()

    def _parse(self, stream: BinaryIO) -> Iterator[NamedRecord | Reject]:
        reader, packing = _Items(self._items), Packing()
        try:
            source = unpacked(stream, packing)
            chunk = source.read(CHUNK)
            text = XmlText(chunk, encoding=self._mapping.encoding)
            while chunk:
                yield from _noted(reader.feed(text.translate(chunk, is_last=False)), text)
                chunk = source.read(CHUNK)
            yield from _noted(reader.feed(text.translate(b"", is_last=True)), text)
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


def _find_items(name: str, stream: BinaryIO) -> frozenset[str]:
    """Return the names of the elements that are items, in small letters."""
    try:
        head = unpacked(stream).read(_LOOKED_AT).replace(b"\0", b"").lower()
    except DAMAGED as error:
        raise UnreadableCatalogue(f"{name}: the file is damaged: {error}") from None
    names = dict.fromkeys(it.decode("ascii", "replace") for it in _ANY_ELEMENT.findall(head))
    if not ITEMS.isdisjoint(names):
        return ITEMS
    return frozenset([next((it for it in names if it in FURTHER_ITEMS), "item")])


def _noted(items: Iterator[NamedRecord | Reject], text: XmlText) -> Iterator[NamedRecord | Reject]:
    """Yield items; what is wrong with the encoding is a warning of the first of them."""
    for item in items:
        if text.note and isinstance(item, NamedRecord):
            yield item._replace(warnings=text_warnings([text.note]))
            text.note = ""
        else:
            yield item


class _Element:
    """An element that is open: its text, and the values of the elements inside."""

    def __init__(self, name: str, attributes: Mapping[str, str], *, is_googles: bool) -> None:
        self.name, self.attributes, self.is_googles = name, attributes, is_googles
        self.text: list[str] = []
        self.inside: dict[str, Any] = {}
        self._googles: set[str] = set()

    def value(self) -> Any:
        """Return its text, or the values inside; an Atom link to the page is its address."""
        if self.inside:
            return self.inside
        is_of_page = self.attributes.get("rel", "alternate") == "alternate"
        named = (self.attributes.get(key) for key in _VALUES) if is_of_page else ()
        return "".join(self.text).strip() or next(filter(None, named), None)

    def names(self) -> tuple[str, Any] | None:
        """Return a name and a value where the element is a parameter; None for any other.

        That is `<param name="Colour">Red</param>`, or an element that holds a name and a value.
        """
        named = next((self.attributes[key] for key in _NAMES if key in self.attributes), None)
        if named:
            return named, self.value()
        if len(self.inside) == 2:
            (key, name), (_, value) = self.inside.items()
            if key.lower().endswith("name") and isinstance(name, str):
                return name, value
        return None

    def add(self, name: str, value: Any, *, is_googles: bool) -> None:
        """Add the value of an element inside; one that is repeated becomes a list.

        Google's names win: in Atom, `id` is the address of the entry and `g:id` the sku.
        """
        if value is None or (not is_googles and name in self._googles):
            return
        if is_googles and name not in self._googles:
            self._googles.add(name)
            self.inside[name] = value
        elif name not in self.inside:
            self.inside[name] = value
        elif isinstance(self.inside[name], list):
            self.inside[name].append(value)
        else:
            self.inside[name] = [self.inside[name], value]


class _Items:
    """The items of an XML file, fed in chunks."""

    def __init__(self, items: frozenset[str]) -> None:
        self._items = items
        self._is_google = items == ITEMS
        self.number = 0  # of the items that have ended
        self._open: list[_Element] = []  # the item and the elements open in it
        self._depth = self._size = self._elements = 0
        self._ready: list[NamedRecord | Reject] = []
        self._categories = CategoryTree()
        self._of_google = {GOOGLES_PREFIX}
        self._parser = parser = expat.ParserCreate("utf-8")
        parser.buffer_text = True
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._text
        parser.StartDoctypeDeclHandler = _refuse_declarations
        parser.EntityDeclHandler = _refuse_doctype
        parser.UseForeignDTD(True)  # makes an undeclared entity a skipped one, not an error
        parser.SkippedEntityHandler = self._entity

    def feed(self, chunk: bytes, *, is_last: bool = False) -> Iterator[NamedRecord | Reject]:
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
        for name, value in attributes.items():
            if name.startswith("xmlns:") and value.rstrip("/").lower() in GOOGLES:
                self._of_google.add(name.removeprefix("xmlns:"))
        if self._open:
            self._elements += 1
            self._size += sum(map(len, attributes.values()))
            self._open.append(self._element(tag, {} if self._is_too_large() else attributes))
        elif (name := tag.rpartition(":")[2].lower()) == "category":
            self._categories.begin(attributes)
        elif name in self._items:
            self._open = [self._element(tag, attributes)]
            self._size = self._elements = 0

    def _element(self, tag: str, attributes: Mapping[str, str]) -> _Element:
        """Return an element. A prefix that is not Google's stays in its name: `media:title`."""
        prefix, _, name = tag.rpartition(":")
        is_googles = prefix in self._of_google
        return _Element(name if is_googles else tag, attributes, is_googles=is_googles)

    def _end(self, tag: str) -> None:
        self._depth -= 1
        if not self._open:
            self._categories.end()
            return
        element = self._open.pop()
        if self._open:
            if not self._is_too_large():
                self._add(element)
            return
        self.number += 1
        if not self._is_google:
            path = self._categories.path(element.inside.get(CATEGORY_ID))
            element.inside = {**element.attributes, **path, **element.inside}
        if self._is_too_large():
            reason = (
                f"the item has more than {LARGEST_ITEM:,} characters or {MOST_ELEMENTS:,} elements"
            )
            self._ready.append(Reject(self.number, None, reason))
        else:
            self._ready.append(NamedRecord(self.number, element.inside))

    def _add(self, element: _Element) -> None:
        """Add an element to the one around it; a parameter goes to the item, by its own name."""
        self._open[-1].add(element.name, element.value(), is_googles=element.is_googles)
        named = None if self._is_google else element.names()
        if named and named[1] is not None:
            self._open[0].add(*named, is_googles=False)

    def _text(self, text: str) -> None:
        if not self._open:
            self._categories.add(text)
        else:
            self._size += len(text)
            if not self._is_too_large():
                self._open[-1].text.append(text)

    def _entity(self, name: str, _is_parameter: bool) -> None:
        """Read an entity of HTML, such as `&nbsp;`, which feeds use without declaring it."""
        self._text(html.unescape(f"&{name};"))

    def _is_too_large(self) -> bool:
        return self._size > LARGEST_ITEM or self._elements > MOST_ELEMENTS


def _refuse_declarations(
    _name: str, _system: str | None, _public: str | None, has_inside: bool
) -> None:
    """Refuse a document type that declares something; one that names a file is passed over."""
    if has_inside:
        _refuse_doctype()


def _refuse_doctype(*_: object) -> None:
    raise UnreadableCatalogue("the XML has a document type (DTD), which is refused for safety")
