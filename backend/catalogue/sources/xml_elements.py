"""An element of an XML feed that is open: its text, and the values of the elements inside."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from backend.catalogue.sources.column_names import names_of, plain
from backend.catalogue.sources.decimal_commas import names_an_amount

NAMES: Final = ("name", "attribute-id", "code", "key")
_VALUES: Final = ("href", "path", "src", "url", "value")
"""Attributes of XML that name what an element holds, and those that hold it."""
_ABOUT: Final = frozenset(
    ("xmlns", "rel", "lang", "type", "unit", "domain", "ispermalink", "scheme", "currency", "nil")
)
"""Attributes that say something of a value and are none."""
_MONEY: Final = {"currencyid", "currencycode", "cur", "curr", *names_of("currency")}
_CODE: Final = re.compile(r"[A-Za-z]{3}|[€$£¥]")
_PARTS: Final = {
    *("details", "articledetails", "productdetails", "general", "basic", "base", "data", "info"),
    *("productinfo", "core", "main", "fields", "properties", "attributes", "specifications"),
    *("articlepricedetails", "productpricedetails", "articleprice", "productprice"),
}
"""Elements that only group values of their item."""
DEEPEST: Final = 50  # elements within elements


class Element:
    """An open element. `is_googles`: its name is one of Google's, and counts more than others."""

    def __init__(self, name: str, attributes: Mapping[str, str], *, is_googles: bool) -> None:
        self.name, self.attributes, self.is_googles = name, attributes, is_googles
        self.text: list[str] = []
        self.inside: dict[str, Any] = {}
        self._googles: set[str] = set()

    def value(self) -> Any:
        """Return its text, the values inside, or what its attributes hold.

        An Atom link to the page is its address.
        """
        if self.inside:
            return {**self._own_sku(), **self.inside}
        if text := "".join(self.text).strip():
            return text
        if not self.attributes or self.attributes.get("rel", "alternate") != "alternate":
            return None
        named = (self.attributes.get(key) for key in _VALUES)
        return next(filter(None, named), None) or self._attributes_alone()

    def _own_sku(self) -> dict[str, str]:
        """Return the attributes of a variant that names its sku in one of them."""
        if not any(plain(name) in ("sku", "id") for name in self.attributes):
            return {}
        return {name: it for name, it in self.attributes.items() if it and ":" not in name}

    def _attributes_alone(self) -> Any:
        """Return the only attribute of an empty element, or all: `<stock quantity="5"/>`."""
        own = {name: it for name, it in self.attributes.items() if it and ":" not in name}
        found = {name: it for name, it in own.items() if name.lower() not in _ABOUT}
        if len(found) > 1:
            found |= {name: it for name, it in own.items() if plain(name) in _MONEY}
        return next(iter(found.values())) if len(found) == 1 else found or None

    def names(self) -> tuple[str, Any] | None:
        """Return a name and a value where the element is a parameter; None for any other.

        That is `<param name="Colour">Red</param>`, or an element that holds a name and a value.
        """
        keys = (key for key in NAMES if key in self.attributes)
        key = next(keys, None) if self.attributes else None
        if key and self.attributes[key]:
            value = self.value()
            if isinstance(value, Mapping) and value.keys() == {"value"}:
                value = value["value"]
            return None if value == self.attributes[key] else (self.attributes[key], value)
        if len(self.inside) == 2:
            (key, name), (_, value) = self.inside.items()
            if key.lower().endswith("name") and isinstance(name, str):
                return name, value
        return None

    def currency(self) -> str | None:
        """Return the currency that an attribute of a price names."""
        if not self.attributes or self.inside or not names_an_amount(self.name):
            return None
        found = (it for name, it in self.attributes.items() if plain(name) in _MONEY)
        return next((it for it in found if _CODE.fullmatch(it)), None)

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

    def lift(self) -> None:
        """Add what stands in groups of values, such as `details`, where the element has none.

        No sku is taken from a group: `id` there is that of something else.
        """
        for name in [name for name in self.inside if plain(name) in _PARTS]:
            group = Element(name, {}, is_googles=False)
            if isinstance(self.inside[name], Mapping):
                group.inside = dict(self.inside[name])
                group.lift()
            for key, value in group.inside.items():
                if plain(key) not in names_of("sku"):
                    self.inside.setdefault(key, value)
