"""Values that JSON holds below their product: `"attributes": [{"name": "Color", "value": "Red"}]`.

The APIs of WooCommerce, Magento (`custom_attributes`), BigCommerce (`option_values`) and
commercetools write them so. Each becomes a member of its product, as if that had it itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from backend.catalogue.sources.column_names import names_of, plain

LISTS: Final = frozenset(
    [
        *("attributes", "custom_attributes", "customAttributes", "option_values", "optionValues"),
        *("properties", "specifications", "specs", "features", "parameters", "params"),
        *(
            "attribute_combinations",
            "additionalProperty",
            "extension_attributes",
            "media_gallery_entries",
            "prices",
        ),
        "calculated_price",  # of Medusa
    ]
)
"""Members that are looked at; a record with none of them stays as it is."""
_NAMES: Final = (
    *("option_type_presentation", "option_type_name"),  # of Spree, whose `name` is the value
    *("name", "attribute_code", "option_display_name", "code", "key", "displayName"),
)
_VALUES: Final = ("value", "values", "option", "options", "label", "value_name", "presentation")
_TEXTS: Final = ("label", "name", "value", "key")
_OF_FIELDS: Final = ("base_colour", "gender", "brand", "season")
_REST: Final = "attribute_list"
MOST: Final = 300
"""Different names of one file; further ones stay in their lists."""


class NamedLists:
    """Takes named values out of the lists of records, and knows which names a file has."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}  # without case and underscores -> as it came first

    def spread(self, record: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return a record with the named values of its lists as its own.

        What the record has itself counts. A list stays unless all of its values were taken.
        """
        if LISTS.isdisjoint(record):
            return record
        found, own = dict(record), {plain(name) for name in record}
        for name in LISTS.intersection(record):
            value = record[name]
            if name == "attributes" and isinstance(value, Mapping):
                self._copy(found, own, value)
                continue
            if name == "attributes" and value == []:  # an empty object, as PHP writes it
                del found[name]
                continue
            pairs = [*_pairs(name, value)]
            taken = [pair and self._take(found, own, *pair) for pair in pairs]
            if taken and all(taken):
                del found[name]
            elif name == "attributes" and pairs:  # our own field of this name is no list
                found[_REST] = found.pop(name)
        return found

    def _copy(self, found: dict[str, Any], own: set[str], values: Mapping[str, Any]) -> None:
        """Copy a colour and the like out of `attributes`, which stays."""
        for name, value in values.items():
            own_value = value.get("value") if isinstance(value, Mapping) else None
            if isinstance(text := own_value or _scalar(value), str) and _is_of_a_field(name):
                self._take(found, own, name, text)

    def _take(self, found: dict[str, Any], own: set[str], name: str, value: Any) -> bool:
        """Add a named value; tell whether nothing of it is missing then."""
        several = isinstance(value, list) and len(value) > 1
        if not plain(name) or plain(name) in own:
            return False
        if (several or str(value).isdecimal()) and _is_of_a_field(name):
            return False  # of several colours none counts; a number is that of an option
        if plain(name) not in self._names and len(self._names) >= MOST:
            return False
        name = self._names.setdefault(plain(name), name)
        found[name] = value[0] if isinstance(value, list) and len(value) == 1 else value
        return True


def _is_of_a_field(name: str) -> bool:
    return any(plain(name) in names_of(field) for field in _OF_FIELDS)


def _pairs(name: str, value: Any) -> Iterator[tuple[str, Any] | None]:
    """Yield the names and values in a list or an object; None for what is neither."""
    if isinstance(value, Mapping) and len(value) == 1:
        only = next(iter(value.values()))
        value = only if isinstance(only, list) else value  # `<attributes><attribute>`
    if name == "prices":
        yield _price(value)
    elif name == "calculated_price":
        if isinstance(value, Mapping) and "original_amount" in value:
            yield "price", value
        yield None  # it stays, because it may hold a reduced price too
    elif name == "media_gallery_entries" and isinstance(value, list):
        yield _images(value)
    elif name == "extension_attributes":
        yield from _stock(value)
    elif isinstance(value, Mapping):
        yield from ((key, _scalar(it)) if _is_taken(it) else None for key, it in value.items())
    elif isinstance(value, list):
        yield from map(_pair, value)


def _pair(item: Any) -> tuple[str, Any] | None:
    if not isinstance(item, Mapping):
        return None
    if isinstance(around := item.get("attribute"), Mapping):  # Saleor's
        item = {**item, "name": around.get("name")}
    key = next((it for it in _NAMES if isinstance(item.get(it), str)), None)
    values = (item[it] for it in _VALUES if it != key and item.get(it) not in (None, ""))
    value = next(values, None)
    return (item[key], _scalar(value)) if key and _is_taken(value) else None


def _is_taken(value: Any) -> bool:
    if isinstance(value, list):
        return bool(value) and all(_is_taken(it) and not isinstance(it, list) for it in value)
    return _scalar(value) is not None


def _scalar(value: Any) -> Any:
    """Return a value or a list; of an object, `{"key": "red", "label": "Red"}`, its text."""
    if isinstance(value, Mapping):
        return next((value[it] for it in _TEXTS if isinstance(value.get(it), str)), None)
    return [_scalar(it) for it in value] if isinstance(value, list) else value


def _price(value: Any) -> tuple[str, Any] | None:
    """Return the first price of commercetools, which says that it is in cents."""
    first = next(iter(value), None) if isinstance(value, list) else None
    amount = first.get("value") if isinstance(first, Mapping) else None
    return ("price", amount) if isinstance(amount, Mapping) and "centAmount" in amount else None


def _images(value: Any) -> tuple[str, Any] | None:
    """Return the paths of Magento's images."""
    files = [
        it["file"] for it in value if isinstance(it, Mapping) and isinstance(it.get("file"), str)
    ]
    return ("images", files) if files else None


def _stock(value: Any) -> Iterator[tuple[str, Any] | None]:
    """Yield what Magento says of the stock."""
    item = value.get("stock_item") if isinstance(value, Mapping) else None
    if isinstance(item, Mapping):
        said = ((name, item.get(name)) for name in ("is_in_stock", "qty"))
        yield from ((name, it) for name, it in said if it is not None)
    yield None  # the rest stays
