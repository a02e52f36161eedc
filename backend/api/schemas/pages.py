"""Cursors: where the next page of a list starts. To clients they are opaque."""

from __future__ import annotations

import binascii
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from typing import Any, Final

_INSIDE: Final = re.compile(r"([a-z]+):([0-9]{1,18})")


def next_cursor(collection: str, ids: Sequence[int], limit: int) -> str | None:
    """Return the cursor of the page after the first `limit` rows, None if there are no more."""
    if len(ids) <= limit:
        return None
    return urlsafe_b64encode(f"{collection}:{ids[limit - 1]}".encode()).decode().rstrip("=")


def read_cursor(text: str, collection: str) -> int:
    """Return the id after which the page starts; ValueError if the cursor is of another list."""
    try:
        padded = text.encode("ascii") + b"=" * (-len(text) % 4)
        found = _INSIDE.fullmatch(urlsafe_b64decode(padded).decode("ascii"))
    except (UnicodeError, binascii.Error):
        found = None
    if not found or found[1] != collection:
        raise ValueError("is not a `next_cursor` of this list")
    return int(found[2])


def as_page(items: Sequence[dict[str, Any]], next_cursor: str | None) -> dict[str, Any]:
    """Return a list in the form that all endpoints use."""
    return {"items": items, "next_cursor": next_cursor}
