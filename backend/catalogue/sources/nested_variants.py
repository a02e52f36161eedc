"""Products in JSON that hold their variants: each variant with a sku is a product of ours.

Shopify writes `{"id": 1, "options": [{"name": "Color"}], "variants": [{"sku": "A", …}]}`; an answer
of GraphQL has `edges` and `nodes` around the variants.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

LISTS: Final = ("variants", "skus", "items")
_GROUPS: Final = ("group_id", "handle", "id", "product_id")
_PARENTS: Final = ("id", "title", "name", "handle")
"""Names that mean the product; the variant's own value is kept as `variant_…`."""
_IMAGES: Final = ("image", "images", "featured_image", "featuredImage")


def variants_of(item: Mapping[str, Any], names: Sequence[str] = LISTS) -> list[dict[str, Any]]:
    """Return one object for each variant; empty if the item has a sku or no variant has one.

    `names` are those of the lists of variants. A variant takes the product's values where it has
    none. `group_id` is the product's.
    """
    if item.get("sku"):
        return []
    for name in names:
        found = [*_nodes(item.get(name))]
        if any(variant.get("sku") for variant in found):
            product = {key: value for key, value in item.items() if key != name}
            return [_joined(product, variant) for variant in found]
    return []


def skus_within(item: Mapping[str, Any], *, by_id: bool) -> list[str]:
    """Return the skus of variants in a product that has another sku, or id, itself."""
    own = item.get("sku") or (by_id and item.get("id"))
    found = (it.get("sku") for name in LISTS for it in _nodes(item.get(name))) if own else ()
    return [sku for sku in found if isinstance(sku, str) and sku not in ("", own)]


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


def _joined(product: Mapping[str, Any], variant: Mapping[str, Any]) -> dict[str, Any]:
    own = {name: value for name, value in variant.items() if name not in _IMAGES}
    for name in _PARENTS:
        if product.get(name) and name in own:
            own[f"variant_{name}"] = own.pop(name)
    filled = {name: value for name, value in own.items() if value not in (None, "", [])}
    group = next((product[name] for name in _GROUPS if product.get(name)), None)
    joined = {**own, **product, **filled, "sku": variant.get("sku")}
    if group is not None:
        joined["group_id"] = group
    joined.update(_options(product, variant, joined))
    if images := _images(product, variant):
        joined.pop("image", None)
        joined["images"] = images
    return joined


def _options(
    product: Mapping[str, Any], variant: Mapping[str, Any], joined: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the values of a variant by the names of the product's options: `color` = Red."""
    names = [option.get("name") for option in _nodes(product.get("options"))]
    pairs = [(name, variant.get(f"option{at}")) for at, name in enumerate(names, start=1)]
    chosen = _nodes(variant.get("selectedOptions"))
    pairs += [(option.get("name"), option.get("value")) for option in chosen]
    return {
        name.lower(): value
        for name, value in pairs
        if isinstance(name, str) and value and not joined.get(name.lower())
    }


def _images(product: Mapping[str, Any], variant: Mapping[str, Any]) -> list[Any]:
    """Return all images, that of the variant first."""
    own = [*_listed(variant)]
    common = [*_listed(product)]
    if (place := variant.get("image_id")) is not None:
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
