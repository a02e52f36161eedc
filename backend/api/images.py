"""`/v1/products/{sku}/image`: the image itself, as raw bytes."""

from __future__ import annotations

import hashlib
from typing import Final

from flask import Response, redirect, request
from sqlalchemy.orm import Session
from werkzeug.wrappers import Response as BaseResponse

from backend import images, queue
from backend.access.scope import Scope
from backend.api import image_urls, openapi
from backend.api.context import services, write_and_notify
from backend.api.image_slots import image_slot
from backend.api.problems import RequestError
from backend.api.schemas import Json
from backend.api.schemas.product import Product, write_products
from backend.api.schemas.query import QueryReader
from backend.api.scopes import requires_scope
from backend.catalogue import products
from backend.catalogue.products import ImageRef
from backend.errors import ImageError, NoImage

CHECK_SIZE: Final = (64, 64)
"""An upload is decoded to this size, which shows whether it can be decoded."""

IMAGE: Final[Json] = {"image/*": {}}

SIGNATURE: Final[tuple[Json, ...]] = tuple(
    openapi.optional(name, text)
    for name, text in (
        ("v", "of an `image_url`: the image's version"),
        ("expires", "of an `image_url`: when it ends"),
        ("key", "of an `image_url`: the prefix of the key that it was made with"),
        ("signature", "of an `image_url`; it stands in the place of a key"),
    )
)


api = openapi.blueprint("images", tag="images")


@api.put(
    "/products/<sku>/image",
    description="The body is the file itself: JPEG, PNG, WebP, GIF, BMP, TIFF or AVIF, or HEIC "
    "where the server has the extra `heif`. It is decoded before it is stored, so the answer says "
    "what is wrong with it.",
    openapi_extensions=openapi.inputs(openapi.SKU, content=IMAGE),
    responses={
        200: Product,
        201: Product,
        **openapi.refusals(404, 413, 415, 503),
    },
)
@requires_scope(Scope.INGEST)
def put_image(sku: str) -> tuple[Json, int]:
    """Give a product its image."""
    QueryReader.of_request().finish()
    if request.mimetype == "multipart/form-data":
        detail = "the body must be the file itself, not a form"
        raise RequestError(415, "unsupported-media-type", detail)
    with services().db.read() as session:
        products.get(session, sku)
    data = request.get_data(cache=False)
    with image_slot():
        services().decoders.decode_one(data, target=CHECK_SIZE)
    digest = services().image_store.put(data)
    image = ImageRef(uri=services().image_store.uri(digest), digest=digest, bytes=len(data))

    def store(session: Session) -> tuple[Json, int]:
        status = 200 if products.get(session, sku).image_uri else 201
        product = products.set_image(session, sku, image, priority=queue.SINGLE)
        return write_products(session, [product])[0], status

    return write_and_notify(store)


@api.get(
    "/products/<sku>/image",
    description="An image on another host is answered with a redirect.",
    openapi_extensions=openapi.inputs(openapi.SKU, *SIGNATURE),
    responses={
        200: {"content": IMAGE},
        302: {"description": "the image is on another host"},
        304: {"description": "the client has this image already"},
        **openapi.refusals(403, 404, 413, 503),
    },
)
@requires_scope(Scope.READ)
def get_image(sku: str) -> BaseResponse:
    """Read a product's image."""
    reader = QueryReader.of_request()
    for parameter in SIGNATURE:
        reader.text(parameter["name"])
    reader.finish()
    with services().db.read() as session:
        uri = products.get(session, sku).image_uri
    if uri and uri.startswith(("https://", "http://")):
        return redirect(uri)
    data = _read(uri)
    digest = hashlib.sha256(data).hexdigest()
    response = Response(data, mimetype=_media_type(data))
    response.set_etag(digest)
    response.headers["Cache-Control"] = image_urls.cache_control(digest)
    response.headers["X-Content-Type-Options"] = "nosniff"
    return response.make_conditional(request)


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
    media_type = images.media_type(data)
    if media_type is None:
        raise NoImage("the file at the address of the image is not an image")
    return media_type
