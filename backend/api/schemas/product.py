"""A product in JSON: its columns, and the read-only members `state` and `reason`."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final, Literal

from pydantic import Field
from sqlalchemy.orm import Session
from typing_extensions import TypeAliasType

from backend import generations
from backend.api.image_urls import image_url, may_see_paths
from backend.api.schemas import Json
from backend.api.schemas.document import Document
from backend.catalogue import product_images
from backend.catalogue.draft_images import ImageRef
from backend.catalogue.drafts import Attributes, ProductFields, Sku
from backend.catalogue.products import FIELDS, Draft, parse
from backend.catalogue.skus import normalise
from backend.database import models
from backend.errors import InvalidProduct
from backend.queue.progress import State, image_errors, states

READ_ONLY: Final = ("state", "reason", "image_url")
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
    """Products in the order in which they were added."""

    items: list[Product]
    next_cursor: str | None


PUBLIC_SCHEMES: Final = ("https://", "http://", "store://")
"""What an `image_uri` begins with that says nothing about the server's files."""


def write_products(
    session: Session, products: Sequence[models.Product], *, fields: Collection[str] = ()
) -> list[Json]:
    """Return products as JSON, with their state in the active generation.

    `fields` names the members to return besides the sku; if it is empty, all are returned.
    """
    generation = generations.active_or_none(session)
    generation_id = generation.id if generation else None
    found = states(session, generation_id, [it.id for it in products])
    images = write_images(session, generation_id, products, found, fields=fields)
    return [
        write_product(product, *found[product.id], images=images[product.id], fields=fields)
        for product in products
    ]


def write_images(
    session: Session,
    generation_id: int | None,
    products: Sequence[models.Product],
    found: Mapping[int, tuple[State, str | None]],
    *,
    fields: Collection[str] = (),
) -> dict[int, list[Json]]:
    """Return the images of each product as JSON, by product id; empty lists if not wanted.

    `found` holds state and reason of each product. Runs no SQL where each has one image at most.
    """
    if fields and "images" not in fields:
        return {product.id: [] for product in products}
    images = product_images.load_all(session, products)
    several = [product.id for product in products if product.more_images]
    errors = image_errors(session, generation_id, several)
    return {
        product.id: image_documents(
            product.sku, images[product.id], *found[product.id], errors.get(product.id, {})
        )
        for product in products
    }


def image_documents(
    sku: str,
    images: Sequence[ImageRef],
    state: State,
    reason: str | None,
    errors: Mapping[str, str],
) -> list[Json]:
    """Return the images of one product as JSON; `errors` says by address why one has no point."""
    return [
        {
            "uri": image.uri,
            "role": image.role,
            "digest": image.digest,
            "url": image_url(sku, number, uri=image.uri, digest=image.digest),
            **_state_of_image(image.uri, state, reason, errors),
        }
        for number, image in enumerate(images, start=1)
    ]


def _state_of_image(
    uri: str | None, state: State, reason: str | None, errors: Mapping[str, str]
) -> Json:
    """Return state and reason of one image: its own reason before that of its product."""
    if state is not State.PENDING and (why := errors.get(uri or "")):
        return {"state": State.QUARANTINED.value, "reason": why}
    return {"state": state.value, "reason": reason}


def write_product(
    product: models.Product,
    state: str,
    reason: str | None,
    *,
    images: Sequence[Json],
    fields: Collection[str] = (),
) -> Json:
    """Return one product as JSON; `fields` as in `write_products`, `images` as `write_images`."""
    columns = {name: getattr(product, name) for name in ("sku", *FIELDS)}
    return product_document(
        columns, state, reason, digest=product.image_digest, images=images, fields=fields
    )


def product_document(
    columns: Json,
    state: str,
    reason: str | None,
    *,
    digest: str | None,
    images: Sequence[Json],
    fields: Collection[str] = (),
) -> Json:
    """Return one product as JSON from its columns, `sku` and FIELDS in this order.

    `digest` is that of its first image.
    """
    url = image_url(columns["sku"], uri=columns["image_uri"], digest=digest)
    whole = columns | {
        "images": list(images),
        "state": str(state),
        "reason": reason,
        "image_url": url,
    }
    if not may_see_paths():
        whole = _without_paths(whole)
    wanted = {"sku", *fields} if fields else whole.keys()
    return {name: value for name, value in whole.items() if name in wanted}


def _without_paths(shown: Json) -> Json:
    """Leave out where the files of images lie on the server; their errors may name it too."""
    images = [_without_path(image, "uri") for image in shown["images"]]
    return _without_path(shown, "image_uri") | {"images": images}


def _without_path(shown: Json, name: str) -> Json:
    uri, reason = shown[name], shown["reason"]
    if uri is None or uri.startswith(PUBLIC_SCHEMES):
        return shown
    return shown | {name: None, "reason": reason and reason.partition(":")[0]}


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
