"""Which elements of an XML feed are its products, found from the beginning of the file.

RSS calls them `item`, Atom `entry`, other shops `product` or `offer`. Any other element is one if
it holds a sku and another field that we know.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final
from xml.parsers import expat

from backend.catalogue.sources.column_names import names_of, plain
from backend.catalogue.sources.xml_elements import DEEPEST, NAMES

ITEMS: Final = frozenset(["item", "entry"])  # of RSS, of Atom
FURTHER_ITEMS: Final = (
    *("product", "offer", "shopitem", "article", "artikel", "produkt", "produit", "prodotto"),
    *("producto", "produto", "good", "goods", "row", "record", "o"),
)
"""Elements that are items in other shops' feeds, where no item of RSS or Atom is."""
_GOOGLES: Final = (b"base.google.com/ns/1.0", b"<g:")
_FEEDS: Final = frozenset(["rss", "feed", "rdf"])  # the roots of RSS and Atom
_TELLING: Final = ("display_name", "price", "image_uri", "link", "in_stock", "article_type")
"""Fields of which a product has at least one beside its sku."""


@dataclass(frozen=True)
class ItemNames:
    """How products are found in a feed."""

    items: frozenset[str]  # names of elements without prefix, in small letters
    is_google: bool  # RSS or Atom, maybe with Google's names
    prefix: str | None = None  # of the elements inside, where their names have one


@dataclass
class _Seen:
    """What elements of one name hold."""

    count: int = 0
    inside: Counter[str] = field(default_factory=Counter)  # names with prefix, of attributes too
    around: set[str] = field(default_factory=set)


def find_items(head: bytes, sku: str | None) -> ItemNames:
    """Find the items; `head` is UTF-8, `sku` the element or attribute that the operator named."""
    seen = _seen(head)
    root = next(iter(seen), "")
    known = [ITEMS] if not ITEMS.isdisjoint(seen) else []
    known += [frozenset([name]) for name in FURTHER_ITEMS if name in seen]
    fitting = [names for names in known if _score(names, seen, sku)]
    found = next(iter(fitting), None) or _any_element(seen, sku)
    if found is None:
        found = next(iter(known), ITEMS)
        return ItemNames(found, is_google=found == ITEMS)
    outer = (names for names in fitting if names != found and _holds(names, found, seen))
    found = next((it for it in outer if _score(it, seen, sku) > 1), found)
    is_google = found == ITEMS and (root in _FEEDS or any(it in head for it in _GOOGLES))
    return ItemNames(found, is_google=is_google, prefix=_prefix(found, seen, sku))


def _stop(*_: object) -> None:
    """Stop looking; the parser of the items says what is wrong."""
    raise expat.ExpatError


def _seen(head: bytes) -> dict[str, _Seen]:
    """Return the elements of a feed by name, in order; as far as they can be parsed."""
    seen: dict[str, _Seen] = defaultdict(_Seen)
    open_ones: list[str] = []

    def start(tag: str, attributes: dict[str, str]) -> None:
        name = tag.rpartition(":")[2].lower()
        it = seen[name]
        it.count += 1
        it.around.update(open_ones)
        it.inside.update(key for key in attributes if not key.startswith("xml"))
        if open_ones:
            around = seen[open_ones[-1]].inside
            around.update([tag, *(attributes[key] for key in NAMES if key in attributes)])
        open_ones.append(name)
        if len(open_ones) > DEEPEST:
            _stop()

    def end(_tag: str) -> None:
        open_ones.pop()

    parser = expat.ParserCreate("utf-8")
    parser.StartElementHandler, parser.EndElementHandler = start, end
    parser.UseForeignDTD(True)  # as the parser of the items, which refuses entities too
    parser.EntityDeclHandler = _stop
    with suppress(expat.ExpatError):
        parser.Parse(head, False)
    return seen


def _score(names: frozenset[str], seen: dict[str, _Seen], sku: str | None) -> int:
    """Return how many of our fields elements hold; 0 if none of them is a sku."""
    inside = {it for name in names & seen.keys() for it in seen[name].inside}
    bare = {plain(it.rpartition(":")[2]) for it in inside}
    if sku is not None and sku.rpartition(":")[2] in {it.rpartition(":")[2] for it in inside}:
        return 1 + len(list(_told(bare)))
    return 0 if bare.isdisjoint(names_of("sku")) else 1 + len(list(_told(bare)))


def _told(bare: set[str]) -> Iterator[str]:
    return (it for it in _TELLING if not bare.isdisjoint(names_of(it)))


def _any_element(seen: dict[str, _Seen], sku: str | None) -> frozenset[str] | None:
    """Return the element that holds most of our fields; of several the one that comes most."""
    scores = {name: _score(frozenset([name]), seen, sku) for name in seen}
    best = max(scores, key=lambda name: (scores[name], seen[name].count), default=None)
    return frozenset([best]) if best is not None and scores[best] > 1 else None


def _holds(outer: frozenset[str], inner: frozenset[str], seen: dict[str, _Seen]) -> bool:
    return any(not outer.isdisjoint(seen[name].around) for name in inner & seen.keys())


def _prefix(names: frozenset[str], seen: dict[str, _Seen], sku: str | None) -> str | None:
    """Return the prefix that the name of the sku has, where none is without one."""
    inside = [it for name in names & seen.keys() for it in seen[name].inside]
    of_sku = [it for it in inside if plain(it.rpartition(":")[2]) in names_of("sku")]
    of_sku = [it for it in inside if it == sku] or of_sku
    prefixes = {it.rpartition(":")[0] for it in of_sku}
    return prefixes.pop() if len(prefixes) == 1 else None
