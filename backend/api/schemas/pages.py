"""Cursors: where the next page of a list starts. To clients they are opaque."""

from __future__ import annotations

import binascii
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from typing import Any, Final

_INSIDE: Final = re.compile(r"([a-z]+):([0-9]{1,18})")
_NAME_INSIDE: Final = re.compile(r"([a-z]+):(.{1,64})", re.DOTALL)


def next_cursor(collection: str, ids: Sequence[int | str], limit: int) -> str | None:
    """Return the cursor of the page after the first `limit` rows, None if there are no more."""
    if len(ids) <= limit:
        return None
    return urlsafe_b64encode(f"{collection}:{ids[limit - 1]}".encode()).decode().rstrip("=")


def read_cursor(text: str, collection: str) -> int:
    """Return the id after which the page starts; ValueError if the cursor is of another list."""
    return int(_read(text, collection, _INSIDE))


def read_name_cursor(text: str, collection: str) -> str:
    """Return the same as `read_cursor` of a list whose ids are texts of up to 64 characters."""
    return _read(text, collection, _NAME_INSIDE)


def _read(text: str, collection: str, inside: re.Pattern[str]) -> str:
    try:
        padded = text.encode("ascii") + b"=" * (-len(text) % 4)
        found = inside.fullmatch(urlsafe_b64decode(padded).decode())
    except (UnicodeError, binascii.Error):
        found = None
    if not found or found[1] != collection:
        raise ValueError("is not a `next_cursor` of this list")
    return found[2]


def as_page(items: Sequence[dict[str, Any]], next_cursor: str | None) -> dict[str, Any]:
    """Return a list in the form that all endpoints use."""
    return {"items": items, "next_cursor": next_cursor}
