"""Which column of a table is which of our fields, by its name."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from functools import cache, lru_cache
from itertools import count
from typing import Final

from backend.catalogue.drafts import FIELDS
from backend.catalogue.sources.columns import Columns
from backend.catalogue.sources.further_names import FURTHER_NAMES, REDUCED_PRICES
from backend.catalogue.sources.minor_units import is_minor_name
from backend.catalogue.sources.money import COMMA, POINT, PriceColumn
from backend.catalogue.sources.price_names import price_name
from backend.errors import ConfigurationError, UnreadableCatalogue

_ALSO: Final[Mapping[str, Sequence[str]]] = {  # in addition to the field's own name
    "sku": ["id"],
    "display_name": ["productDisplayName", "productName", "name", "title"],
    "base_colour": ["baseColor", "colour", "color"],
    "group_id": ["itemGroupId", "parentSku"],
    "brand": ["brandName", "manufacturer"],
    "currency": ["currencyCode", "priceCurrency"],
    "link": ["productLink", "productUrl"],
    "image_uri": ["image", "imageUrl", "imageLink", "imagePath", "imageFile", "filename"],
}
_STOCK: Final = (
    *("availability", "isInStock", "stockStatus", "quantity", "qty", "inventoryQuantity"),
    *("variantInventoryQty", "stockQuantity", "stock"),
)
"""Columns for `in_stock`; they also stay in the attributes, since they say more than yes or no."""
FOR_VARIANTS: Final = (
    *("variant_sku", "variant_id", "sku_id", "sku_code", "sku_number", "item_sku", "seller_sku"),
    *("product_sku", "shop_sku", "stock_keeping_unit"),
)
"""Names of skus that say that each variant has one, where `id` may be that of all of them."""
_LANGUAGES: Final = re.compile(r"\s+[/|]\s+")
"""What stands between the languages of a name: `Artikelnummer / SKU`."""
_PRICE_OF_CHANNEL: Final = re.compile(r"price-[A-Za-z0-9_]+-[A-Z]{3}")
"""How Akeneo names the prices of a channel: `price-ecommerce-EUR`."""
_PREFIX: Final = re.compile(r"^\s*\*?[gc]:", re.IGNORECASE)


def _known_names(field: str) -> Sequence[str]:
    stock = _STOCK if field == "in_stock" else ()
    return (field, *_ALSO.get(field, ()), *stock, *FURTHER_NAMES.get(field, ()))


PREFIXED_NAMES: Final[Mapping[str, Sequence[str]]] = {
    field: [
        f"{prefix}_{name}"
        for prefix in ("product", "item", "variant", "article")
        for name in _known_names(field)
    ]
    for field in ("price", "currency", "base_colour", "gender", "brand", "image_uri", "in_stock")
}
"""Names such as `product_price`, taken where no other column is the field's."""


def match(
    header: Sequence[str],
    given: Mapping[str, str],
    *,
    decimal: str | None = None,
    delimiter: str = "",
    numeric: Collection[str] = (),
    is_any_shops: bool = False,
) -> Columns:
    """Find the columns of our fields: as given, else by name, ignoring case and underscores.

    `decimal` is the separator of decimals in prices, where the operator has named it. Without it,
    and where no price tells, a `delimiter` of ; means a comma: it is used where commas are taken.
    `numeric` are columns of attributes that are numbers. In any shop's table (`is_any_shops`) the
    names of `FURTHER_NAMES` count too, for a field that has no column yet.

    Raises ConfigurationError for a field that does not exist; UnreadableCatalogue for a column that
    does not exist, and for a table without a sku.
    """
    _check_fields(given)
    found = ", ".join(filter(None, header))
    by_name = {plain(name): position for position, name in reversed(list(enumerate(header)))}
    fields = {name: _position(header, column, found) for name, column in given.items()}
    _find_usual(by_name, fields)
    if is_any_shops:
        _find_further(by_name, fields, {"sku": FURTHER_NAMES["sku"]})
    if "sku" not in fields:
        raise UnreadableCatalogue(_without_sku(header, found, delimiter))
    attributes = _attributes(header, fields)
    has_cents = _find_among_attributes(header, by_name, fields, is_any_shops=is_any_shops)
    if "price" in fields:
        fields["price"] = fields.pop("price")  # behind the currency
    for name in numeric:
        _position(header, name, found)
    return Columns(
        fields=fields,
        attributes=attributes,
        prices=PriceColumn(given=decimal, default=COMMA if delimiter == ";" else POINT),
        numeric=frozenset(numeric),
        has_cents=has_cents,
    )


def _find_among_attributes(
    header: Sequence[str],
    by_name: Mapping[str, int],
    fields: dict[str, int],
    *,
    is_any_shops: bool,
) -> bool:
    """Find fields whose columns stay attributes too; return whether the price is in cents."""
    _find_further(by_name, fields, {"in_stock": _STOCK})
    if not is_any_shops:
        return False
    _find_further(by_name, fields, FURTHER_NAMES)
    _find_price_with_currency(header, fields)
    _find_further(by_name, fields, PREFIXED_NAMES)
    return _find_cents(header, fields)


def _attributes(header: Sequence[str], fields: Mapping[str, int]) -> dict[str, int]:
    """Return the columns that are attributes, by name.

    Of several with one name the last one keeps it, and those before it are numbered: `size_1`.
    """
    free = [(at, name) for at, name in enumerate(header) if name and at not in fields.values()]
    last = {name: at for at, name in free}
    found: dict[str, int] = {}
    for at, name in free:
        numbered = (f"{name}_{number}" for number in count(1))
        taken = last.keys() | found.keys()
        found[name if last[name] == at else next(it for it in numbered if it not in taken)] = at
    return found


def _check_fields(given: Mapping[str, str]) -> None:
    if unknown := sorted(set(given) - {"sku", *FIELDS}):
        allowed = ", ".join(["sku", *FIELDS])
        raise ConfigurationError(f"there is no field {', '.join(unknown)}; there are: {allowed}")


def _find_usual(by_name: Mapping[str, int], fields: dict[str, int]) -> None:
    """Give columns with a field's own name, or a usual one, to fields that have none."""
    for ours in ("sku", *FIELDS):
        for name in (ours, *_ALSO.get(ours, ())):
            position = by_name.get(plain(name))
            if position is not None and position not in fields.values():
                fields.setdefault(ours, position)


def _find_further(
    by_name: Mapping[str, int], fields: dict[str, int], names: Mapping[str, Sequence[str]]
) -> None:
    """Give columns with further names to fields that have none."""
    for ours in (it for it in names if it not in fields):
        places = (by_name.get(plain(name)) for name in names[ours])
        free = (at for at in places if at is not None and at not in fields.values())
        if (found := next(free, None)) is not None:
            fields[ours] = found


def _find_price_with_currency(header: Sequence[str], fields: dict[str, int]) -> None:
    """Give a column such as `price_eur` to the price, if that has none."""
    if "price" not in fields:
        bare = [(at, name) for at, name in enumerate(header) if "(" not in name]
        named = ((at, *price_name(name)) for at, name in bare)
        known = names_of("price") | set(map(plain, PREFIXED_NAMES["price"]))
        free = (
            at
            for at, price, code in named
            if code and (price in known or _PRICE_OF_CHANNEL.fullmatch(header[at]))
        )
        if (found := next((at for at in free if at not in fields.values()), None)) is not None:
            fields["price"] = found


def _find_cents(header: Sequence[str], fields: dict[str, int]) -> bool:
    """Give a column such as `price_cents` to the price, if that has none; tell whether one is."""
    free = (at for at, name in enumerate(header) if is_minor_name(name))
    if "price" in fields or (found := next(free, None)) is None:
        return False
    fields["price"] = found
    return True


def with_reduced_price(header: Sequence[str], columns: Columns) -> Columns:
    """Take the column of a reduced price for the price where a table has no other."""
    if "price" in columns.fields:
        return columns
    fields = dict(columns.fields)
    by_name = {plain(name): position for position, name in reversed(list(enumerate(header)))}
    _find_further(by_name, fields, {"price": REDUCED_PRICES})
    return replace(columns, fields=fields)


def names_a_sku(header: Sequence[str]) -> bool:
    """Tell whether a row can be a header: one of its names is that of a sku."""
    names = {plain(part) for name in header for part in (name, *_LANGUAGES.split(name))}
    known = ("sku", *_ALSO["sku"], *FURTHER_NAMES["sku"])
    return sum(map(bool, header)) > 1 and not names.isdisjoint(map(plain, known))


@cache
def names_of(ours: str) -> frozenset[str]:
    """Return all names of a field that are known, as `plain` writes them."""
    return frozenset(map(plain, _known_names(ours)))


@cache
def _ranks(ours: str) -> Mapping[str, int]:
    names = [plain(name) for name in _known_names(ours)]
    return {name: rank for rank, name in reversed(list(enumerate(names)))}


def rank_of(ours: str, name: str) -> int | None:
    """Return the place of a column's name among those of a field; None if it is none of them."""
    return _ranks(ours).get(plain(name))


def _without_sku(header: Sequence[str], found: str, delimiter: str) -> str:
    if len(header) == 1 and delimiter:
        return (
            f"the header is one column, {found[:80]!r}, and names no sku: name what divides it "
            "with --delimiter, or the column with --map sku=COLUMN."
        )
    return f"no column is named sku or id; there are: {found}. Name it with --map sku=COLUMN."


def _position(header: Sequence[str], column: str, found: str) -> int:
    if column not in header:
        raise UnreadableCatalogue(f"there is no column {column!r}; there are: {found}")
    return header.index(column)


@lru_cache(maxsize=4_096)
def plain(name: str) -> str:
    """Return a column's name without case, blanks, underscores and the prefixes `g:` and `c:`."""
    return re.sub(r"[\W_]+", "", _PREFIX.sub("", name)).lower()
