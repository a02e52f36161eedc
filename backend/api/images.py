"""`/v1/products/{sku}/images/{number}`: one image, as raw bytes; `…/image` is the first one."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from flask import Response, redirect, request
from flask_openapi3.types import ResponseDict
from sqlalchemy.orm import Session
from werkzeug.wrappers import Response as BaseResponse

from backend import queue
from backend.access.scope import Scope
from backend.api import image_urls, openapi, parameters
from backend.api.conditional import check_preconditions, note_revision
from backend.api.context import services, write_and_notify
from backend.api.problems import RequestError
from backend.api.schemas import Json
from backend.api.schemas.product import Product
from backend.api.schemas.query import QueryReader
from backend.api.schemas.written_products import write_products
from backend.api.scopes import requires_scope
from backend.api.uploads import store_upload
from backend.catalogue import product_images, products
from backend.catalogue.products import ImageRef
from backend.errors import ImageError, InvalidProduct, NoImage
from backend.images import media_type as find_media_type
from backend.vectors.image_points import MOST_IMAGES

IMAGE: Final[Json] = {"image/*": openapi.BINARY}
IMAGE_ANSWERS: Final[ResponseDict] = {
    200: {"content": IMAGE},
    302: {"description": "the image is on another host"},
    304: {"description": "the client has this image already"},
    **openapi.refusals(403, 404, 413, 503),
}

SIGNATURE: Final[tuple[Json, ...]] = tuple(
    parameters.optional(name, f"of an `image_url`: {text}")
    for name, text in (
        ("v", "the image's version"),
        ("expires", "when it ends"),
        ("key", "the prefix of the key that it was made with"),
        ("signature", "it stands in the place of a key"),
    )
)

api = openapi.blueprint("images", tag="images")


FILE: Final = (
    "The body is the file itself: JPEG, PNG, WebP, GIF, BMP, TIFF or AVIF, or HEIC where the "
    "server has the extra `heif`. It is decoded before it is stored, so the answer says what is "
    "wrong with it."
)


@api.put(
    "/products/<sku>/image",
    description=f"The first image, as `images/1`. {FILE}",
    openapi_extensions=openapi.inputs(parameters.SKU, parameters.IF_MATCH, content=openapi.FILE),
    responses={
        200: Product,
        201: Product,
        **openapi.refusals(404, 412, 413, 415, 503),
    },
)
@requires_scope(Scope.INGEST)
def put_image(sku: str) -> tuple[Json, int]:
    """Give a product its image."""
    return _put(sku, 1)


@api.put(
    "/products/<sku>/images/<number>",
    description="Images are numbered from 1. The number after the last one adds an image; there "
    f"can be {MOST_IMAGES}. {FILE}",
    openapi_extensions=openapi.inputs(
        parameters.SKU, parameters.IMAGE_NUMBER, parameters.IF_MATCH, content=openapi.FILE
    ),
    responses={
        200: Product,
        201: Product,
        **openapi.refusals(404, 412, 413, 415, 503),
    },
)
@requires_scope(Scope.INGEST)
def put_one_image(sku: str, number: str) -> tuple[Json, int]:
    """Replace one image of a product, or add one."""
    return _put(sku, _read_number(number))


@api.get(
    "/products/<sku>/image",
    description="The first image, as `images/1`. An image on another host is answered with a "
    "redirect.",
    openapi_extensions=openapi.inputs(parameters.SKU, *SIGNATURE),
    responses=IMAGE_ANSWERS,
)
@requires_scope(Scope.READ)
def get_image(sku: str) -> BaseResponse:
    """Read a product's image."""
    return _get(sku, 1)


@api.get(
    "/products/<sku>/images/<number>",
    description="Images are numbered from 1. One on another host is answered with a redirect.",
    openapi_extensions=openapi.inputs(parameters.SKU, parameters.IMAGE_NUMBER, *SIGNATURE),
    responses=IMAGE_ANSWERS,
)
@requires_scope(Scope.READ)
def get_one_image(sku: str, number: str) -> BaseResponse:
    """Read one image of a product."""
    return _get(sku, _read_number(number))


@api.delete(
    "/products/<sku>/image",
    description="The first image, as `images/1`: the next one becomes the first.",
    openapi_extensions=openapi.inputs(parameters.SKU, parameters.IF_MATCH),
    responses={204: None, **openapi.refusals(404, 412)},
)
@requires_scope(Scope.INGEST)
def delete_image(sku: str) -> Response:
    """Remove a product's image."""
    return _delete(sku, 1)


@api.delete(
    "/products/<sku>/images/<number>",
    description="Images are numbered from 1. Those behind it move up by one.",
    openapi_extensions=openapi.inputs(parameters.SKU, parameters.IMAGE_NUMBER, parameters.IF_MATCH),
    responses={204: None, **openapi.refusals(404, 412)},
)
@requires_scope(Scope.INGEST)
def delete_one_image(sku: str, number: str) -> Response:
    """Remove one image of a product."""
    return _delete(sku, _read_number(number))


def _put(sku: str, number: int) -> tuple[Json, int]:
    QueryReader.of_request().finish()
    if request.mimetype == "multipart/form-data":
        detail = "the body must be the file itself, not a form"
        raise RequestError(415, "unsupported-media-type", detail)
    with services().db.read() as session:
        _check_place(_images(session, sku), number)
    image = store_upload(request.get_data(cache=False))

    def store(session: Session) -> tuple[Json, int]:
        check_preconditions(session, sku)
        images = list(_locked_images(session, sku))
        _check_place(images, number)
        status = 200 if number <= len(images) else 201
        role = images[number - 1].role if status == 200 else None
        images[number - 1 : number] = [replace(image, role=role)]
        product = products.set_images(session, sku, images, priority=queue.SINGLE)
        note_revision(session, product)
        return write_products(session, [product])[0], status

    return write_and_notify(store)


def _get(sku: str, number: int) -> BaseResponse:
    reader = QueryReader.of_request()
    for parameter in SIGNATURE:
        reader.text(parameter["name"])
    reader.finish()
    with services().db.read() as session:
        images = _images(session, sku)
    if not 1 <= number <= len(images):
        raise _no_image(images)
    uri = images[number - 1].uri
    if uri and uri.startswith(("https://", "http://")):
        found = redirect(uri)
        found.set_data(b"")  # the description promises no body, and an address needs no page
        return found
    data = _read(uri)
    digest = hashlib.sha256(data).hexdigest()
    response = Response(data, mimetype=_media_type(data))
    response.set_etag(digest)
    response.headers["Cache-Control"] = image_urls.cache_control(digest)
    response.headers["X-Content-Type-Options"] = "nosniff"
    return response.make_conditional(request)


def _delete(sku: str, number: int) -> Response:
    QueryReader.of_request().finish()

    def remove(session: Session) -> None:
        check_preconditions(session, sku)
        images = list(_locked_images(session, sku))
        if not 1 <= number <= len(images):
            raise _no_image(images)
        del images[number - 1]
        products.set_images(session, sku, images, priority=queue.SINGLE)

    write_and_notify(remove)
    return Response(status=204)


def _images(session: Session, sku: str) -> Sequence[ImageRef]:
    product = products.get(session, sku)
    return product_images.load_all(session, [product])[product.id]


def _locked_images(session: Session, sku: str) -> Sequence[ImageRef]:
    """Read a product's images, which no other writer changes until the transaction ends."""
    products.lock(session, sku)
    return _images(session, sku)


def _read_number(text: str) -> int:
    """Return the number of an image; 0, which no image has, for a text that is no number."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 3 else 0


def _check_place(images: Sequence[ImageRef], number: int) -> None:
    """Raise unless an image can be put under a number."""
    if number == len(images) + 1 > MOST_IMAGES:
        reason = f"a product can have {MOST_IMAGES} images"
        raise InvalidProduct(reason, errors=[{"field": "images", "reason": reason}])
    if not 1 <= number <= len(images) + 1:
        raise _no_image(images)


def _no_image(images: Sequence[ImageRef]) -> NoImage:
    return NoImage(
        f"the product has {len(images)} images, numbered from 1"
        if images
        else "the product has no image"
    )


def _read(uri: str | None) -> bytes:
    """Read an image; an error names its file only to those who may see paths."""
    try:
        return services().image_opener.read(uri, limits=services().limits)
    except ImageError as error:
        if uri is None or image_urls.may_see_paths():
            raise
        raise type(error)("the image's file cannot be read") from None


def _media_type(data: bytes) -> str:
    """Return the media type by the first bytes of a file; raises NoImage for any other file."""
    media_type = find_media_type(data)
    if media_type is None:
        raise NoImage("the file at the address of the image is not an image")
    return media_type
