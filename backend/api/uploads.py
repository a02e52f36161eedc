"""Image files that clients send: checked, then put into the image store."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from backend.api.context import services
from backend.api.image_slots import image_slot
from backend.catalogue.products import Draft, ImageRef
from backend.errors import ImageError, ImageUnavailable, InvalidProduct

CHECK_SIZE: Final = (64, 64)
"""An upload is decoded to this size, which shows whether it can be decoded."""


def store_upload(data: bytes, *, role: str | None = None) -> ImageRef:
    """Store an image file and return a reference to it. Raises ImageError if it is not usable."""
    with image_slot():
        services().decoders.decode_one(data, target=CHECK_SIZE)
    store = services().image_store
    digest = store.put(data)
    return ImageRef(uri=store.uri(digest), digest=digest, bytes=len(data), role=role)


def store_uploads(draft: Draft) -> Draft:
    """Store the files among a draft's images. Raises InvalidProduct that names the first bad one.

    Raises ImageUnavailable when the store cannot be reached, DiskFull when it is full.
    """
    if not any(image.upload for image in draft.images or ()):
        return draft
    images = []
    for number, image in enumerate(draft.images or (), 1):
        try:
            kept = store_upload(image.upload, role=image.role) if image.upload else image
        except ImageUnavailable:
            raise
        except ImageError as error:
            reason = f"image {number}: {error.code}: {error.message}"
            errors = [{"field": "images", "reason": reason}]
            raise InvalidProduct(f"images: {reason}", errors=errors) from None
        images.append(kept)
    return replace(draft, images=images)
