"""The items of an XML feed, parsed as a stream: each becomes values with names."""

from __future__ import annotations

import html
from collections.abc import Iterator, Mapping
from typing import Final
from xml.parsers import expat

from backend.catalogue.sources.column_names import plain
from backend.catalogue.sources.feed import Reject
from backend.catalogue.sources.named_records import NamedRecord
from backend.catalogue.sources.xml_categories import CATEGORY_IDS, CategoryTree
from backend.catalogue.sources.xml_elements import DEEPEST, Element
from backend.catalogue.sources.xml_item_names import ItemNames
from backend.errors import UnreadableCatalogue

VARIANTS: Final = ("variant", "variation", "combination")
"""Elements below an item to which the parameters in them belong."""
GOOGLES_PREFIX: Final = "g"  # also where nothing declares it
GOOGLES: Final = {"http://base.google.com/ns/1.0", "https://base.google.com/ns/1.0"}
LARGEST_ITEM: Final = 1_000_000  # characters of text in one item
MOST_ELEMENTS: Final = 10_000  # in one item
_OUTER: Final = "all"


class Items:
    """The items of an XML file, fed in chunks."""

    def __init__(self, names: ItemNames) -> None:
        self._items = names.items
        self._is_google = names.is_google
        self._bare = {names.prefix} if names.prefix else set()  # prefixes that are left out
        self.number = 0  # of the items that have ended
        self._open: list[Element] = []  # the item and the elements open in it
        self._depth = self._size = self._elements = 0
        self._views: dict[int, str] = {}  # item -> the first size of its images
        self._ready: list[NamedRecord | Reject] = []
        self._categories = CategoryTree()
        self._of_google = {GOOGLES_PREFIX}
        self.tag: str | None = None  # of the last item, as it is written
        self._around: list[str] = []  # the elements open around the items
        self._above = b""  # what the parser got before the file, see `restart`
        self._parser = self._new_parser()

    def _new_parser(self) -> expat.XMLParserType:
        parser = expat.ParserCreate("utf-8")
        parser.buffer_text = True
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._text
        parser.StartDoctypeDeclHandler = _refuse_declarations
        parser.EntityDeclHandler = _refuse_doctype
        parser.UseForeignDTD(True)  # makes an undeclared entity a skipped one, not an error
        parser.SkippedEntityHandler = self._entity
        return parser

    def restart(self) -> None:
        """Go on behind a fault, within the elements that are open around the items.

        One more element is around them, so that several documents may follow each other.
        """
        outer = self._around if self._above else [_OUTER, *self._around]
        self._above = "".join(f"<{tag}>" for tag in outer).encode()
        self._open, self._around, self._depth = [], [], 0
        self._parser = self._new_parser()
        self._parser.Parse(self._above, False)

    def is_in_item(self) -> bool:
        """Tell whether an item has begun and not ended."""
        return bool(self._open)

    def error_at(self) -> int:
        """Return where a fault is, in bytes from the first that this parser got of the file."""
        return self._parser.ErrorByteIndex - len(self._above)

    def feed(self, chunk: bytes, *, is_last: bool = False) -> Iterator[NamedRecord | Reject]:
        """Parse a chunk, and yield the items that end in it. Raises ExpatError."""
        self._parser.Parse(chunk, is_last and not self._above)
        if is_last and self._above:
            ends_outer = self._around == [_OUTER] and not self._open
            self._parser.Parse(f"</{_OUTER}>".encode() if ends_outer else b"", True)
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
            self._around.append(tag)
        elif name in self._items:
            if prefix := tag.rpartition(":")[0]:
                self._bare.add(prefix)
            self.tag = tag
            self._open = [self._element(tag, attributes)]
            self._size = self._elements = 0
        else:
            self._around.append(tag)

    def _element(self, tag: str, attributes: Mapping[str, str]) -> Element:
        """Return an element. Of prefixes, Google's and those of items do not stay in its name."""
        prefix, _, name = tag.rpartition(":")
        is_googles = prefix in self._of_google
        is_bare = is_googles or prefix in self._bare
        return Element(name if is_bare else tag, attributes, is_googles=is_googles)

    def _end(self, tag: str) -> None:
        self._depth -= 1
        if not self._open:
            self._categories.end()
            self._around.pop()
            return
        element = self._open.pop()
        if self._open:
            if not self._is_too_large():
                self._add(element)
            return
        self._views.clear()
        self.number += 1
        if not self._is_google:
            element.lift()
            number = next((element.inside[it] for it in CATEGORY_IDS if it in element.inside), None)
            path = self._categories.path(number)
            element.inside = {**self._attributes_of(element), **path, **element.inside}
        if self._is_too_large():
            reason = (
                f"the item has more than {LARGEST_ITEM:,} characters or {MOST_ELEMENTS:,} elements"
            )
            self._ready.append(Reject(self.number, None, reason))
        else:
            self._ready.append(NamedRecord(self.number, element.inside))

    def _add(self, element: Element) -> None:
        """Add an element to the one around it; a parameter goes to the item, by its own name."""
        item = self._open[0]
        if view := element.attributes.get("view-type"):  # Salesforce's sizes of the same images
            self._views.setdefault(self.number, view)
            if self._views[self.number] != view:
                return
        self._open[-1].add(element.name, element.value(), is_googles=element.is_googles)
        if self._open[-1] is item and (currency := element.currency()):
            item.inside.setdefault("currency", currency)
        named = None if self._is_google else element.names()
        if named and named[1] is not None:
            variants = (it for it in self._open[1:] if plain(it.name) in VARIANTS)
            next(variants, item).add(*named, is_googles=False)

    def _attributes_of(self, element: Element) -> dict[str, str]:
        bare = ((name.rpartition(":"), it) for name, it in element.attributes.items())
        return {
            name if not prefix or prefix in self._bare else f"{prefix}:{name}": it
            for (prefix, _, name), it in bare
        }

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
