"""Lay a draft over a product's row, and compare the result with the row. Runs no SQL."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, TypeAlias

from backend.catalogue.drafts import FIELDS, Draft, ImageRef

ProductRow: TypeAlias = Mapping[str, Any]
PAYLOAD: Final = tuple(name for name in FIELDS if name != "image_uri")
IMAGE: Final = ("image_uri", "image_digest", "image_bytes", "image_mtime_ns")
BLANK: Final[ProductRow] = dict.fromkeys((*PAYLOAD, *IMAGE)) | {
    "in_stock": True,
    "attributes": {},
}
"""The columns of a product before anybody has set one."""


def merged(draft: Draft, stored: ProductRow, *, complete: bool) -> dict[str, Any]:
    """Return the columns that a row shall have.

    A complete draft clears the fields that it does not name; attributes of None are dropped.
    """
    under = BLANK if complete else stored
    row = {name: draft.values.get(name, under[name]) for name in PAYLOAD}
    given = draft.values.get("attributes", {})
    kept = under["attributes"] if given is not None else {}
    row["attributes"] = {k: v for k, v in {**kept, **(given or {})}.items() if v is not None}
    return row | _merged_image(draft.image, stored)


def _merged_image(image: ImageRef | None, stored: ProductRow) -> dict[str, Any]:
    """Return the image columns; a stored URI that nobody has looked at again changes none."""
    if image is None or (image.uri == stored["image_uri"] and image.bytes is None):
        return {name: stored[name] for name in IMAGE}
    return dict(zip(IMAGE, (image.uri, image.digest, image.bytes, image.mtime_ns), strict=True))


def image_differs(stored: ProductRow, row: ProductRow) -> bool:
    """Tell whether there may be another image, or the same one in another place.

    A file whose time has changed but not its digest is the same image.
    """
    if stored["image_uri"] != row["image_uri"]:
        return True
    if stored["image_digest"] is not None or row["image_digest"] is not None:
        return bool(stored["image_digest"] != row["image_digest"])
    return any(stored[name] != row[name] for name in IMAGE)


def payload_differs(stored: ProductRow, row: ProductRow) -> bool:
    """Tell whether a field differs. In the attributes True differs from 1, unlike in Python."""
    return any(stored[name] != row[name] for name in PAYLOAD) or (
        repr(sorted(stored["attributes"].items())) != repr(sorted(row["attributes"].items()))
    )


def is_unseen_file(image: ImageRef | None, stored: ProductRow | None) -> bool:
    """Tell whether a reference newly names a local file that no import has looked at.

    REST must not refer to the host's own files.
    """
    if image is None or image.bytes is not None or not (image.uri or "").startswith("file:"):
        return False
    return stored is None or stored["image_uri"] != image.uri
