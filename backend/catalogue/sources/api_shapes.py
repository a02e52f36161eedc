"""Products of shops' APIs whose values lie elsewhere than in members of usual names.

Spree and Solidus have a `master` variant, VTEX offers of sellers, Vendure prices in cents and
options with groups, Sylius prices in cents, Akeneo values by locale and channel, and Magento's
GraphQL products within variants.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

_CENTS: Final = "cents"
_OF_MAGENTO: Final = {"product", "attributes", "__typename"}
"""What a variant of Magento's GraphQL holds."""
_OF_SYLIUS: Final = ("/api/v2/shop/", "/api/v2/admin/")
"""How its addresses begin; those of other shops with API Platform begin with `/api/v1/`."""


def as_usual(value: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a product or a variant with usual members; one of another API as it is."""
    if isinstance(value.get("master"), Mapping):
        value = _of_spree(value)
    if isinstance(of := value.get("product"), Mapping) and value.keys() <= _OF_MAGENTO:
        value = {**of, "attributes": value.get("attributes", [])}
    if isinstance(values := value.get("values"), Mapping) and "identifier" in value:
        value = {**value, **dict(_of_akeneo(values))}
    if isinstance(value.get("sellers"), list):
        value = _of_vtex(value)
    if "priceWithTax" in value or "facetValues" in value:
        value = _of_vendure(value)
    if str(value.get("@id", "")).startswith(_OF_SYLIUS):
        value = _of_sylius(value)
    return value


def _of_spree(value: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a product with the images of its master; without variants also with its sku."""
    master = value["master"]
    rest = {name: it for name, it in value.items() if name not in ("master", "product_properties")}
    names = ("images",) if value.get("variants") else ("images", "sku", "in_stock", "price")
    master = {**master, "images": [*map(_image_of_spree, _objects(master, "images"))]}
    own = {name: master[name] for name in names if master.get(name) not in (None, "", [])}
    pairs = [_pair(it, "property_name", "value") for it in _objects(value, "product_properties")]
    return {**rest, **own, **({"properties": pairs} if pairs else {})}


def _image_of_spree(image: Mapping[str, Any]) -> Any:
    """Return the largest address of an image, which is there in several sizes."""
    names = ("original_url", "large_url", "product_url")
    return next((image[name] for name in names if image.get(name)), dict(image))


def _of_vtex(value: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return an item with the price and the stock of its first seller."""
    first = next(_objects(value, "sellers"), {})
    offer = first.get("commertialOffer", first.get("commercialOffer"))
    if not isinstance(offer, Mapping):
        return value
    found = {"price": offer.get("Price"), "stock": offer.get("AvailableQuantity")}
    rest = {name: it for name, it in value.items() if name != "sellers"}
    return {**rest, **{name: it for name, it in found.items() if it is not None}}


def _of_akeneo(values: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield the attributes of a product, each in the first of its locales and channels."""
    for name, several in values.items():
        first = several[0] if isinstance(several, list) and several else None
        if isinstance(first, Mapping) and "data" in first:
            yield name, first["data"]


def _of_vendure(value: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a product or a variant with its price in cents said so, and options with names."""
    found = {name: it for name, it in value.items() if name != "facetValues"}
    if (cents := _cents_of_vendure(value)) is not None:
        del found["priceWithTax"]
        found["price"] = {_CENTS: cents, "currency": value.get("currencyCode")}
    pairs = [_pair(it, "facet", "name") for it in _objects(value, "facetValues")]
    pairs += [_pair(it, "group", "name") for it in _objects(value, "options") if "group" in it]
    return {**found, "properties": pairs} if pairs else found


def _cents_of_vendure(value: Mapping[str, Any]) -> int | None:
    """Return the price with tax; None if another member shows that it is not one of Vendure."""
    if "currencyCode" not in value and "__typename" not in value:
        return None
    with_tax = _one_price(value.get("priceWithTax"))
    is_whole = isinstance(_one_price(value.get("price", 0)), int)
    return with_tax if isinstance(with_tax, int) and is_whole else None


def _one_price(price: Any) -> Any:
    """Return a price of Vendure that is alone, or the lowest one of a range."""
    return price.get("value", price.get("min")) if isinstance(price, Mapping) else price


def _of_sylius(value: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a variant whose whole prices are cents."""
    prices = {
        name: {_CENTS: it}
        for name in ("price", "originalPrice")
        if isinstance(it := value.get(name), int)
    }
    variants = [as_usual({"@id": value["@id"], **it}) for it in _objects(value, "variants")]
    return {**value, **prices, **({"variants": variants} if variants else {})}


def _objects(value: Mapping[str, Any], name: str) -> Iterator[Mapping[str, Any]]:
    """Yield the objects of a list."""
    several = value.get(name)
    yield from (
        it for it in (several if isinstance(several, list) else ()) if isinstance(it, Mapping)
    )


def _pair(item: Mapping[str, Any], key: str, value: str) -> dict[str, Any]:
    name = item.get(key)
    return {
        "name": name.get("name") if isinstance(name, Mapping) else name,
        "value": item.get(value),
    }
