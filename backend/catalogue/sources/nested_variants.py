"""Products in JSON that hold their variants: each variant with a sku is a product of ours.

Shopify writes `{"id": 1, "options": [{"name": "Color"}], "variants": [{"sku": "A", …}]}`; an answer
of GraphQL has `edges` and `nodes` around the variants.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from backend.catalogue.sources.column_names import names_of, plain

LISTS: Final = ("variants", "skus", "items", "variations", "combinations", "children")
_FURTHER_LISTS: Final = (
    "hasVariant",
    "productVariants",
    "product_variants",
    "Variants",
    "VARIANTS",
)
_PARTS: Final = ("items", "children")
"""Lists that may hold the parts of a set, where their product has a sku."""
LISTS_OF_ANY: Final = frozenset([*LISTS, *_FURTHER_LISTS])
_SKUS: Final = (
    *("sku", "SKU", "Sku", "variant_sku", "variantSku", "item_sku", "seller_sku", "sellerSku"),
    *("seller_custom_field", "skuCode", "itemId"),  # of MercadoLibre, of VTEX
)
_CODES: Final = ("code", "CODE", "Code", "articleCode")
"""Names of the sku of a variant that has a price or a stock too, as of Sylius and Shoptet."""
_MASTER: Final = "masterVariant"  # commercetools' first variant
_GROUPS: Final = ("group_id", "handle", "id", "product_id", "productGroupID", "code")
_PARENTS: Final = ("id", "title", "name", "handle")
"""Names that mean the product; the variant's own value is kept as `variant_…`."""
_IMAGES: Final = ("image", "images", "featured_image", "featuredImage", "pictures")
_UNTRACKED: Final = (("inventory_management", None), ("inventory_tracking", "none"))
"""Members that say that nothing counts the stock, so that a quantity of 0 means nothing."""


def _as_it_is(record: Mapping[str, Any]) -> Mapping[str, Any]:
    return record


def variants_of(
    item: Mapping[str, Any],
    names: Sequence[str] = LISTS,
    *,
    by_id: bool = False,
    prepare: Callable[[Mapping[str, Any]], Mapping[str, Any]] = _as_it_is,
) -> list[dict[str, Any]]:
    """Return one object for each variant; empty if no variant has a sku.

    `names` are those of the lists of variants. A variant takes the product's values where it has
    none. `group_id` is the product's. A product that has a sku, or with `by_id` an id, comes first
    and gives its variants its sku as the group. One that has the product's own sku is the product.
    `prepare` is applied to each variant.
    """
    own = _sku(item) or (item.get("id") if by_id else None)
    for name in (*names, *_FURTHER_LISTS):
        if name not in item or (own and name in _PARTS):
            continue
        master = item.get(_MASTER)
        found = [master] if isinstance(master, Mapping) else []
        found = [_with_code(prepare(it)) for it in (*found, *_nodes(item[name]))]
        if any(map(_sku, found)):
            product = {key: value for key, value in item.items() if key not in (name, _MASTER)}
            return _products(product, found, own=own)
    return []


def _products(
    product: Mapping[str, Any], variants: Sequence[Mapping[str, Any]], *, own: Any
) -> list[dict[str, Any]]:
    """Return the products of a product and its variants; `own` is the sku of the product."""
    if not own:
        return [_joined(product, variant) for variant in variants]
    key = next((it for it in _SKUS if product.get(it)), "sku")
    is_alone = [_sku(it) for it in variants] == [own]
    group = {} if is_alone else {"group_id": product.get("group_id") or own}
    joined = [_joined({**product, **group}, variant, key=key) for variant in variants]
    if is_alone:
        joined[0].pop("group_id", None)
    has_own = any(it[key] == own for it in joined)
    return joined if has_own else [{**product, key: own, **group}, *joined]


def _with_code(variant: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a variant with its code as the sku, where it has no other and is for sale."""
    code = next((variant[name] for name in _CODES if variant.get(name)), None)
    if _sku(variant) or not isinstance(code, str):
        return variant
    is_sold = _named(variant, "price") or _named(variant, "in_stock")
    return {**variant, "sku": code} if is_sold else variant


def _sku(item: Mapping[str, Any]) -> Any:
    return next((item[name] for name in _SKUS if item.get(name)), None)


def with_offer(item: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a product whose variants have no skus with the price and the stock of one of them.

    That is the first that can be bought, else the first.
    """
    name = next((it for it in (*LISTS, *_FURTHER_LISTS) if item.get(it)), None)
    found = [*_nodes(item[name])] if name else []
    if not found or any(map(_sku, found)):
        return item
    first = next((it for it in found if it.get("available")), found[0])
    missing = [field for field in ("price", "in_stock") if not _named(item, field)]
    return {**{name: it for field in missing for name, it in _named(first, field).items()}, **item}


def skus_within(item: Mapping[str, Any]) -> list[str]:
    """Return the skus of the items in a product that has a sku itself: they may be its parts."""
    own = None if item.keys().isdisjoint(_PARTS) else _sku(item)
    found = (_sku(it) for name in _PARTS for it in _nodes(item.get(name))) if own else ()
    return [sku for sku in found if isinstance(sku, str) and sku != own]


def _named(item: Mapping[str, Any], field: str) -> dict[str, Any]:
    """Return the members of an item that have a name of a field and a value."""
    known = names_of(field)
    return {key: it for key, it in item.items() if plain(key) in known and it not in (None, "")}


def _nodes(value: Any) -> Iterator[Mapping[str, Any]]:
    """Yield the objects of a list, also out of `nodes` and of `edges` with a `node` each."""
    if isinstance(value, Mapping):
        only = next(iter(value.values())) if len(value) == 1 else None  # `<variants><variant>`
        value = value.get("nodes") or value.get("edges") or only
        value = [value] if isinstance(value, Mapping) else value
    for each in value if isinstance(value, list) else ():
        node = each.get("node", each) if isinstance(each, Mapping) else None
        if isinstance(node, Mapping):
            yield node


def _joined(
    product: Mapping[str, Any], variant: Mapping[str, Any], *, key: str = "sku"
) -> dict[str, Any]:
    sku = _sku(variant)
    variant = {name: value for name, value in variant.items() if name not in _SKUS}
    own = {name: value for name, value in variant.items() if name not in _IMAGES}
    for name in _PARENTS:
        if product.get(name) and name in own:
            own[f"variant_{name}"] = own.pop(name)
    filled = {name: value for name, value in own.items() if value not in (None, "", [])}
    group = next((product[name] for name in _GROUPS if product.get(name)), None)
    joined = {**own, **product, **filled, key: sku}
    if group is not None:
        joined["group_id"] = group
    joined.update(_stock(product, own))
    joined.update(_options(product, variant, joined))
    if images := _images(product, variant):
        for name in ("image", "pictures"):
            joined.pop(name, None)
        joined["images"] = images
    return joined


def _stock(product: Mapping[str, Any], variant: Mapping[str, Any]) -> dict[str, Any]:
    """Return the stock of a variant under the names by which its product says its own.

    What of it nothing counts is None.
    """
    own = _named(variant, "in_stock")
    for name, none in _UNTRACKED:
        if {**product, **variant}.get(name, own) == none:
            return {key: None for key, it in own.items() if it in (0, "0")}
    said = next(iter(own.values()), None)
    return {key: said for key in _named(product, "in_stock") if own and key not in own}


def _options(
    product: Mapping[str, Any], variant: Mapping[str, Any], joined: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the values of a variant by the names of the product's options: `color` = Red."""
    options = [*_nodes(product.get("options"))]
    names = [option.get("name") or option.get("title") for option in options]
    pairs = [(name, variant.get(f"option{at}")) for at, name in enumerate(names, start=1)]
    chosen = _nodes(variant.get("selectedOptions"))
    pairs += [(option.get("name"), option.get("value")) for option in chosen]
    by_id = {str(option.get("id")): name for option, name in zip(options, names, strict=True)}
    pairs += [(_option_name(it, by_id), it.get("value")) for it in _nodes(variant.get("options"))]
    return {
        name.lower(): value
        for name, value in pairs
        if isinstance(name, str) and value and not joined.get(name.lower())
    }


def _option_name(option: Mapping[str, Any], by_id: Mapping[str, Any]) -> Any:
    """Return the name of an option that a variant of Medusa chooses: its own, or by its id."""
    around = option.get("option")
    own = around.get("title") if isinstance(around, Mapping) else None
    return own or by_id.get(str(option.get("option_id"))) or option.get("name")


def _images(product: Mapping[str, Any], variant: Mapping[str, Any]) -> list[Any]:
    """Return all images, that of the variant first."""
    own = [*_listed(variant)]
    common = [*_listed(product)]
    if (place := variant.get("image_id")) is not None:
        own += [it for it in common if isinstance(it, Mapping) and it.get("id") == place]
    places = variant.get("picture_ids")
    for place in places if isinstance(places, list) else ():
        own += [it for it in common if isinstance(it, Mapping) and it.get("id") == place]
    found: list[Any] = []
    seen: set[str] = set()
    for image in (*own, *common):
        address = _address(image)
        if address not in seen:
            seen.add(address)
            found.append(image)
    return found


def _address(image: Any) -> str:
    if not isinstance(image, Mapping):
        return str(image)
    return str(next((image[key] for key in ("src", "url") if image.get(key)), image))


def _listed(value: Mapping[str, Any]) -> Iterator[Any]:
    """Yield the images of a product or variant: objects with an address, or addresses."""
    for name in _IMAGES:
        images = value.get(name)
        if isinstance(images, list):
            yield from (it.get("node", it) if isinstance(it, Mapping) else it for it in images)
        elif isinstance(images, Mapping) and images.keys() & {"nodes", "edges"}:
            yield from _nodes(images)
        elif images:
            yield images
