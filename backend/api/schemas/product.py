"""A product in JSON: its columns, and the read-only members `state` and `reason`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal

from pydantic import Field
from typing_extensions import TypeAliasType

from backend.api.schemas import Json
from backend.api.schemas.document import Document
from backend.api.schemas.unknown_attributes import PAGE_META, PageMeta
from backend.catalogue.draft_attributes import Attributes
from backend.catalogue.drafts import ProductFields, Sku
from backend.catalogue.product_lines import READ_ONLY
from backend.catalogue.products import FIELDS, Draft, parse
from backend.catalogue.skus import normalise
from backend.errors import InvalidProduct
from backend.queue.progress import State

MEMBERS: Final = ("sku", *FIELDS, "images", *READ_ONLY)
"""The members of a product, in the order in which they are written."""

ProductMember = TypeAliasType("ProductMember", Literal[MEMBERS])  # type: ignore[valid-type]


class ProductBody(ProductFields):
    """A complete product as a client writes it; `in_stock` is true if it is absent."""

    sku: Sku = Field(default_factory=str, description="absent, or the sku of the path")


class ProductPatch(ProductFields):
    """What is to be changed of a product: absent members stay, null empties one.

    `attributes` are merged; one of null is removed.
    """

    sku: Sku = Field(default_factory=str, description="absent, or the sku of the path")


class ImageDocument(Document):
    """One image of a product as it is read. The number in its address counts from 1."""

    uri: str | None = Field(description="null for a file of the server, where the key only reads")
    url: str | None = Field(
        description="as `image_url` of the product", json_schema_extra={"readOnly": True}
    )
    role: str | None = Field(description="the shop's own word for it")
    digest: str | None = Field(description="sha256 of the file, null until somebody has read it")
    state: State = Field(json_schema_extra={"readOnly": True})
    reason: str | None = Field(
        description="why it is quarantined; the product is found by its other images",
        json_schema_extra={"readOnly": True},
    )


class Product(ProductFields):
    """A product as it is read; with `fields`, only the sku and the named members."""

    images: list[ImageDocument] = Field(  # type: ignore[assignment]
        [], description="all images in order; the first is shown"
    )
    attributes: Attributes = Field({}, description="open attributes: scalars, or lists of scalars")
    state: State = Field(State.PENDING, json_schema_extra={"readOnly": True})
    reason: str | None = Field(
        None,
        description="why it is quarantined, or that its image is still to come",
        json_schema_extra={"readOnly": True},
    )
    image_url: str | None = Field(
        None,
        description="where the image can be had without a key, for a day or two",
        json_schema_extra={"readOnly": True},
    )


class ProductPage(Document):
    """Products in the order in which they were added, or as `sort` says."""

    items: list[Product]
    next_cursor: str | None
    meta: PageMeta | None = Field(None, description=PAGE_META)


def read_changes(body: Mapping[str, Any], *, sku: str) -> Json:
    """Return the fields of a body that a client may write, checked by `parse` later.

    Clients write back what they read, so the read-only members are ignored. A sku in the body must
    be that of the path. Raises InvalidProduct.
    """
    given = body.get("sku", sku)
    if (normalise(given) if isinstance(given, str) else given) != normalise(sku):
        errors = [{"field": "sku", "reason": f"must be absent or the path's, {sku!r}"}]
        raise InvalidProduct("the body has another sku than the path", errors=errors)
    return {name: value for name, value in body.items() if name not in READ_ONLY} | {"sku": sku}


def read_draft(body: Mapping[str, Any], *, sku: str) -> Draft:
    """Return a body as a checked draft. Raises InvalidProduct."""
    return parse(read_changes(body, sku=sku))
