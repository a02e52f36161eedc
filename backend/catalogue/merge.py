"""Lay a draft over a product's row, and compare the result with the row. Runs no SQL."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from operator import itemgetter
from typing import Any, Final, TypeAlias

from backend.catalogue.draft_images import ImageRef
from backend.catalogue.drafts import FIELDS, Draft
from backend.catalogue.product_images import Images

ProductRow: TypeAlias = Mapping[str, Any]
"""The fields of a product, and under `images` all its images."""

PAYLOAD: Final = tuple(name for name in FIELDS if name != "image_uri")
_payload: Final = itemgetter(*PAYLOAD)
NONE: Final[Mapping[str, Any]] = {}
"""No attributes: one object, which is made JSON once for all rows of a statement."""

BLANK: Final[ProductRow] = dict.fromkeys(PAYLOAD) | {
    "in_stock": True,
    "attributes": NONE,
    "images": (),
}
"""The fields of a product before anybody has set one."""


def merged(draft: Draft, stored: ProductRow, *, complete: bool) -> dict[str, Any]:
    """Return the fields that a product shall have, and under `images` all its images.

    A complete draft clears the fields that it does not name; attributes of None are dropped.
    Raises ValueError for images that contradict each other.
    """
    under = BLANK if complete else stored
    row = {**(BLANK if complete else {name: stored[name] for name in PAYLOAD}), **draft.values}
    given = draft.values.get("attributes", NONE)
    kept = under["attributes"] if given is not None else NONE
    row["attributes"] = NONE
    if kept or given:
        row["attributes"] = {k: v for k, v in {**kept, **(given or {})}.items() if v is not None}
    row["images"] = merged_images(draft, stored["images"])
    return row


def merged_images(draft: Draft, stored: Images) -> Images:
    """Return the images that a product shall have, in order, each address once.

    `image` replaces the first one alone. Clients write back both of what they read, so where the
    two contradict each other, the one that differs from what is stored counts. Raises ValueError
    if both do.
    """
    given = draft.images
    if given is None:
        if draft.image is None:
            return stored
        if not stored and draft.image.role is None:
            return () if draft.image.uri is None else (draft.image,)
        role = stored[0].role if stored else None
        first = draft.image if draft.image.role == role else replace(draft.image, role=role)
        given = (first, *stored[1:])
    elif draft.image is not None and draft.image.uri != _first(given):
        if _first(given) == _first(stored):
            given = (draft.image, *given[1:])
        elif draft.image.uri != _first(stored):
            raise ValueError("image_uri is not the first of the images")
    known = {image.uri: image for image in stored}
    kept: dict[str | None, ImageRef] = {}
    for image in given:
        if image.uri is not None:
            kept.setdefault(image.uri, _with_facts(image, known.get(image.uri)))
    return tuple(kept.values())


def _first(images: Sequence[ImageRef]) -> str | None:
    return images[0].uri if images else None


def _with_facts(image: ImageRef, stored: ImageRef | None) -> ImageRef:
    """Return an image with what is stored of it, unless somebody has looked at it again."""
    if stored is None or image.bytes is not None:
        return image
    return replace(stored, role=image.role)


def images_differ(stored: Images, images: Images) -> bool:
    """Tell whether there may be other images, or the same ones in other places or another order."""
    return len(stored) != len(images) or any(map(_differs, stored, images))


def _differs(stored: ImageRef, image: ImageRef) -> bool:
    """Compare two images; a file whose time has changed but not its digest is the same image."""
    if stored.uri != image.uri:
        return True
    if stored.digest is not None or image.digest is not None:
        return stored.digest != image.digest
    return (stored.bytes, stored.mtime_ns) != (image.bytes, image.mtime_ns)


def payload_differs(stored: ProductRow, row: ProductRow) -> bool:
    """Tell whether a field differs. In the attributes True differs from 1, unlike in Python."""
    if _payload(stored) != _payload(row):
        return True
    if [image.role for image in stored["images"]] != [image.role for image in row["images"]]:
        return True
    before, after = stored["attributes"], row["attributes"]
    return bool(before) and repr(sorted(before.items())) != repr(sorted(after.items()))


def names_unseen_file(draft: Draft, stored: ProductRow | None) -> bool:
    """Tell whether a draft newly names a local file that no import has looked at.

    REST must not refer to the host's own files.
    """
    if draft.images is None and (draft.image is None or draft.image.bytes is not None):
        return False
    known = {image.uri for image in stored["images"]} if stored else set()
    given = [*(draft.images or ()), *([draft.image] if draft.image else [])]
    return any(
        image.bytes is None and (image.uri or "").startswith("file:") and image.uri not in known
        for image in given
    )
