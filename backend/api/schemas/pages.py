"""Cursors: where the next page of a list starts. To clients they are opaque."""

from __future__ import annotations

import binascii
import json
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from typing import Any, Final

_INSIDE: Final = re.compile(r"([a-z]+):([0-9]{1,18})")
_NAME_INSIDE: Final = re.compile(r"([a-z]+):(.{1,64})", re.DOTALL)
_PLACE_INSIDE: Final = re.compile(r"([a-z]+:-?[a-z_]+):([0-9]{1,18}):(.{1,2000})", re.DOTALL)

NOT_OF_THIS: Final = "is not a `next_cursor` of this list"


def next_cursor(collection: str, ids: Sequence[int | str], limit: int) -> str | None:
    """Return the cursor of the page after the first `limit` rows, None if there are no more."""
    if len(ids) <= limit:
        return None
    return _written(f"{collection}:{ids[limit - 1]}")


def write_place(collection: str, id: int, value: str | float | None) -> str:
    """Return the cursor of the page behind a row, in a list that goes by a value and the id."""
    return _written(f"{collection}:{id}:{json.dumps(value)}")


def read_place(text: str, collection: str) -> tuple[int, Any]:
    """Return the id and the value of `write_place`; ValueError if the cursor is of another list.

    The value is what a client has sent: any scalar of JSON.
    """
    name, last, value = _parts(text, _PLACE_INSIDE)
    if name != collection:
        raise ValueError(NOT_OF_THIS)
    try:
        return int(last), json.loads(value)
    except (ValueError, RecursionError):
        raise ValueError(NOT_OF_THIS) from None


def read_cursor(text: str, collection: str) -> int:
    """Return the id after which the page starts; ValueError if the cursor is of another list."""
    return int(_read(text, collection, _INSIDE))


def read_name_cursor(text: str, collection: str) -> str:
    """Return the same as `read_cursor` of a list whose ids are texts of up to 64 characters."""
    return _read(text, collection, _NAME_INSIDE)


def _written(text: str) -> str:
    return urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _read(text: str, collection: str, inside: re.Pattern[str]) -> str:
    name, found = _parts(text, inside)
    if name != collection:
        raise ValueError(NOT_OF_THIS)
    return found


def _parts(text: str, inside: re.Pattern[str]) -> tuple[str, ...]:
    try:
        padded = text.encode("ascii") + b"=" * (-len(text) % 4)
        found = inside.fullmatch(urlsafe_b64decode(padded).decode())
    except (UnicodeError, binascii.Error):
        found = None
    if not found:
        raise ValueError(NOT_OF_THIS)
    return tuple(found.groups())


def as_page(items: Sequence[dict[str, Any]], next_cursor: str | None) -> dict[str, Any]:
    """Return a list in the form that all endpoints use."""
    return {"items": items, "next_cursor": next_cursor}
