"""Small images of products, of two sizes, made when they are first asked for.

They are kept in memory alone, the most recent ones: so a product that was taken down leaves no copy
of its image behind, and there is nothing to back up or to clean. Browsers keep them for a day. An
address names the digest of the image, and so always gives the same bytes.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from io import BytesIO
from typing import Final

from flask import Response, current_app, request, url_for
from PIL import Image

from backend.access.scope import Scope
from backend.api.context import services
from backend.api.image_slots import image_slot
from backend.api.scopes import requires_scope
from backend.catalogue import product_images, products
from backend.catalogue.draft_images import ImageRef
from backend.errors import ImageError, NoImage
from backend.web import pages

SIDES: Final = {"small": 320, "large": 900}
"""The longest side of each size, in pixels; a smaller image stays as it is."""

QUALITY: Final = 78
METHOD: Final = 2
"""Of WebP: how long it looks for a smaller file, from 0 to 6."""

DAY: Final = 86_400
VERSION_LENGTH: Final = 16
MOST_BYTES: Final = 64_000_000
"""Thumbnails that a process keeps: about 6,000 small ones."""

KEPT: Final = "lookalike.thumbnails"
"""Where an app keeps them: `app.extensions[KEPT]`."""

blueprint = pages.blueprint("thumbnails")


class Thumbnails:
    """The thumbnails that one process keeps, by digest and size. Safe to share between threads."""

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._most_bytes = most_bytes
        self._bytes = 0
        self._lock = threading.Lock()
        self._kept: OrderedDict[tuple[str, str], bytes] = OrderedDict()

    def get(self, digest: str, size: str) -> bytes | None:
        """Return a thumbnail that is kept; it counts as recent again."""
        with self._lock:
            found = self._kept.get((digest, size))
            if found is not None:
                self._kept.move_to_end((digest, size))
            return found

    def put(self, digest: str, size: str, data: bytes) -> None:
        """Keep a thumbnail; those that were not asked for longest give way."""
        with self._lock:
            self._bytes += len(data) - len(self._kept.pop((digest, size), b""))
            self._kept[digest, size] = data
            while self._bytes > self._most_bytes:
                self._bytes -= len(self._kept.popitem(last=False)[1])


@blueprint.get("/products/<sku>/thumbnails/<int:number>/<size>")
@requires_scope(Scope.READ)
def show_thumbnail(sku: str, number: int, size: str) -> Response:
    """Answer with the thumbnail of one image of a product; images are numbered from 1."""
    if size not in SIDES:
        raise NoImage(f"there are these sizes: {', '.join(SIDES)}")
    image = _find(sku, number)
    digest = image.digest
    answer = Response(mimetype="image/webp")
    if digest and request.if_none_match.contains_weak(_tag(digest, size)):
        answer.status_code = 304
    else:
        digest, data = _load(image, size)
        answer.set_data(data)
    answer.set_etag(_tag(digest, size))
    answer.headers["Cache-Control"] = _cache_control(digest)
    return answer


def url_of_thumbnail(sku: str, number: int, size: str, digest: str | None) -> str:
    """Return the address of a thumbnail, with the version of its image if that is known."""
    version = digest[:VERSION_LENGTH] if digest else None
    address = f"{blueprint.name}.{show_thumbnail.__name__}"
    return url_for(address, sku=sku, number=number, size=size, v=version)


def _find(sku: str, number: int) -> ImageRef:
    with services().db.read() as session:
        product = products.get(session, sku)
        images = product_images.load_all(session, [product])[product.id]
    if not 1 <= number <= len(images):
        raise NoImage("the product has no image of this number")
    return images[number - 1]


def _load(image: ImageRef, size: str) -> tuple[str, bytes]:
    """Return the digest of an image and its thumbnail; raises ImageError."""
    kept: Thumbnails = current_app.extensions[KEPT]
    if image.digest and (data := kept.get(image.digest, size)):
        return image.digest, data
    with image_slot():
        try:
            source = services().image_opener.source(image.uri)
            decoded = services().decoders.decode_one(source, target=SIDES[size])
        except ImageError as error:  # its text may name the file
            raise type(error)("the image cannot be shown") from None
    data = _encode(decoded.image)
    kept.put(decoded.digest, size, data)
    return decoded.digest, data


def _encode(image: Image.Image) -> bytes:
    file = BytesIO()
    image.save(file, "WEBP", quality=QUALITY, method=METHOD)
    return file.getvalue()


def _tag(digest: str, size: str) -> str:
    return f"{digest[:32]}-{size}"


def _cache_control(digest: str) -> str:
    version = request.args.get("v", "")
    if len(version) == VERSION_LENGTH and digest.startswith(version):
        return f"private, max-age={DAY}, immutable"
    return "private, no-cache"
