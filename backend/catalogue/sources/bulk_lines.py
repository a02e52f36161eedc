"""JSON Lines in which the lines below a product belong to it, as Shopify's bulk operations write.

`{"id": "P", …}` is followed by its variants, images and metafields, each with `"__parentId": "P"`,
or with the id of a variant above.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from backend.catalogue.sources.feed import Reject
from backend.catalogue.sources.named_records import NamedRecord

PARENT: Final = "__parentId"
MOST_CHILDREN: Final = 5_000  # of one product
NO_PARENT: Final = f"its {PARENT} is neither the product above nor one of its variants"
_ADDRESSES: Final = ("url", "src", "image")


def with_children(records: Iterator[NamedRecord | Reject]) -> Iterator[NamedRecord | Reject]:
    """Yield each product with the lines below it as its `variants` and `images`.

    A line counts as a variant if it has a sku, as an image if it has an address, and as a
    metafield, which is a value of its parent, if it has a key and a value. Others are rejects; a
    variant whose product is not above stays a product of its own.
    """
    product: _Product | None = None
    for record in records:
        if isinstance(record, Reject):
            if product and product.is_alone:
                yield product.record()
                product = None
            yield record
        elif record.values.get(PARENT):
            wrong = product.take(record.values) if product else NO_PARENT
            if wrong and record.values.get("sku"):
                yield record
            elif wrong:
                yield Reject(record.line, None, wrong)
        else:
            if product:
                yield product.record()
            product = _Product(record)
    if product:
        yield product.record()


class _Product:
    """A product, and what was found below it."""

    def __init__(self, record: NamedRecord) -> None:
        self._record = record
        self._lists: dict[str, list[Any]] = {"variants": [], "images": []}
        self._owners = {record.values.get("id"): dict(record.values)}
        self._count = 0

    @property
    def is_alone(self) -> bool:
        """Whether nothing has been taken yet."""
        return not self._count

    def take(self, child: Mapping[str, Any]) -> str:
        """Take a line below the product; return what is wrong with it, or nothing."""
        self._count += 1
        if self._count > MOST_CHILDREN:
            return f"more than {MOST_CHILDREN:,} lines belong to one product"
        owner = self._owners.get(child[PARENT])
        if owner is None:
            return NO_PARENT
        image = next((child[name] for name in _ADDRESSES if child.get(name)), None)
        if child.get("sku"):
            variant = {name: value for name, value in child.items() if name != PARENT}
            self._owners[child.get("id")] = variant
            self._lists["variants"].append(variant)
        elif image:
            self._lists["images"].append(image)
        elif isinstance(child.get("key"), str) and "value" in child:
            owner.setdefault(child["key"], child["value"])
        else:
            return f"it has a {PARENT}, and is no variant, image or metafield"
        return ""

    def record(self) -> NamedRecord:
        """Return the product with all that belongs to it."""
        own = self._owners[self._record.values.get("id")]
        found = {name: values for name, values in self._lists.items() if values}
        return self._record._replace(values={**own, **found})
