"""The shapes in which JSON holds products, other than as a list of plain objects.

- an answer of GraphQL: `{"data": {"products": {"edges": [{"node": {…}}]}}}`
- an object that is named by its skus: `{"A1": {…}, "A2": {…}}`
- columns: `{"sku": ["A1", "A2"], "name": ["Tee", "Cap"]}`
- products of schema.org, whose offer has the price
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from json.decoder import JSONDecodeError
from typing import Any, Final

from backend.catalogue.sources.api_shapes import as_usual
from backend.catalogue.sources.column_names import names_a_sku

_LISTS: Final = (
    "products|items|data|results|rows|records|entries|offers|articles|product|catalog|catalogue|"
    "feed|value|_embedded|hits|resources|docs|documents|objects|list|goods|payload|content|elements|nodes|edges|produkte|artikel|productos|produits|response|collection|"
    "@graph|itemListElement|hydra:member|member|result|body|shop|export"
)
_SCALAR: Final = r'(?:"[^"]*"|[-0-9.eE+]+|true|false|null|\{[^{}]*\})'
_PASSED_OVER: Final = rf'(?:\s*"(?!(?:sku|id)")[^"]*"\s*:\s*{_SCALAR}\s*,)*'
_INTO: Final = rf'\{{{_PASSED_OVER}\s*(?:"(?:{_LISTS})"|(?:{_LISTS}))\s*:\s*'
LIST_BEGINS: Final = re.compile(rf"\s*(?:{_INTO}){{1,6}}\[(?=\s*(?:\{{|$))", re.IGNORECASE)
"""What stands above the first item where an object holds the list."""
_AROUND: Final = {  # what holds a product -> what else stands beside it
    "node": ("cursor", "__typename"),
    "_source": ("_index", "_type", "_id", "_score", "_ignored", "sort"),
    "item": ("@type", "@id", "position", "url", "name"),
}
_OF_RESOURCES: Final = frozenset(
    [
        *("id", "type", "attributes", "relationships", "links", "meta"),  # JSON:API
        *("name", "offerId", "channel", "contentLanguage", "feedLabel", "productAttributes"),
        *("dataSource", "versionNumber", "productStatus", "customAttributes", "legacyLocal"),
    ]
)
"""What a resource holds beside its attributes."""
_GOOGLES_CHANNELS: Final = ("online:", "local:")
NAMED: Final = re.compile(r'\s*("(?:[^"\\]|\\.)*")\s*:\s*(?=\{)')
"""The name of an item of an object, and what stands before the item."""
_OBJECT_BEGINS: Final = re.compile(rf'\s*(?:{_INTO})?\{{(?=\s*"[^"]*"\s*:\s*\{{)', re.IGNORECASE)


def object_of_items(text: str) -> re.Match[str] | None:
    """Match what stands above the first item of an object that is named by its skus.

    Its first two values are objects that share half of their names, or the second is not whole in
    `text`. Where there is only one value, it has several members and nothing follows it.
    """
    if not (begins := _OBJECT_BEGINS.match(text)):
        return None
    first, end = _value_at(text, begins.end())
    if first is None or len(first) < 2 or all(map(str.isdigit, first)):
        return None
    comma = re.compile(r"\s*(,|\}[\s}]*$)").match(text, end)
    if comma is None or comma[1] != ",":
        return begins if comma else None
    second, _ = _value_at(text, comma.end())
    if second is None:
        return begins if NAMED.match(text, comma.end()) else None
    shared = len(first.keys() & second.keys())
    return begins if shared * 2 >= min(len(first), len(second)) else None


def _value_at(text: str, start: int) -> tuple[Mapping[str, Any] | None, int]:
    """Return the object behind a name, and where it ends; None if there is none."""
    if not (named := NAMED.match(text, start)):
        return None, start
    try:
        value, end = json.JSONDecoder().raw_decode(text, named.end())
    except (JSONDecodeError, RecursionError):
        return None, start
    return value, end


def item_of(value: Mapping[str, Any], sku: str | None) -> dict[str, Any]:
    """Return an item with plain names; `sku` is its name in an object, where it says none itself.

    A node of GraphQL is taken out of its edge, a document of Elasticsearch out of its hit.
    """
    for inner, beside in _AROUND.items():
        if isinstance(it := value.get(inner), Mapping) and value.keys() <= {inner, *beside}:
            value = it
    value = as_usual(value)
    data = value.get("masterData")  # of commercetools: what is shown, and the draft of it
    if isinstance(data, Mapping) and isinstance(shown := data.get("current"), Mapping):
        state = {} if data.get("published", True) else {"published": False}
        value = {**{key: it for key, it in value.items() if key != "masterData"}, **state, **shown}
    named = {name.strip(): it for name, it in value.items() if name.strip()}
    if isinstance(own := named.get("productAttributes", named.get("attributes")), Mapping):
        named = _of_resource(named, own)
    if str(named.get("id")).startswith(_GOOGLES_CHANNELS) and named.get("offerId"):
        named["id"] = named["offerId"]
    if "offers" in named:
        named = {**_of_offer(named), **named}
    return named if sku is None or "sku" in named else {"sku": sku, **named}


def _of_resource(value: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """Return a resource of JSON:API with its attributes as its own, else the value as it is.

    The attributes of any other product say nothing of its name.
    """
    is_named = not {"name", "title"}.isdisjoint(own)
    if not is_named or not value.keys() <= _OF_RESOURCES:
        return dict(value)
    beside = {"type", "name", "attributes", "productAttributes", "relationships", "links", "meta"}
    return {**{key: it for key, it in value.items() if key not in beside}, **own}


def _of_offer(value: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the first offer of a product of schema.org says of price and stock."""
    offer = value.get("offers")
    if isinstance(offer, list):
        offer = next(iter(offer), None)
    if not isinstance(offer, Mapping) or "@type" not in {*value, *offer}:
        return {}
    price = offer.get("price", offer.get("lowPrice"))
    found = {name: offer.get(name) for name in ("priceCurrency", "availability")}
    return {name: it for name, it in {"price": price, **found}.items() if it is not None}


def rows_of_columns(record: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the rows of a record whose values are columns, lists or objects of the same rows.

    Empty if they are none: each has to have the same rows, two at least, and one to name a sku.
    """
    columns = list(record.values())
    if not columns or not isinstance(columns[0], list | Mapping):  # as in nearly all records
        return []
    if not all(isinstance(it, list | Mapping) for it in columns) or not names_a_sku(list(record)):
        return []
    names = columns[0].keys() if isinstance(columns[0], Mapping) else None
    if all(isinstance(it, Mapping) and it.keys() == names for it in columns):
        columns = [list(it.values()) for it in columns]
    if not all(isinstance(it, list) and len(it) == len(columns[0]) > 1 for it in columns):
        return []
    return [dict(zip(record, row, strict=True)) for row in zip(*columns, strict=True)]
