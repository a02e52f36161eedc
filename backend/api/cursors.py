"""Cursors of lists of similar products: signed, so that nobody can make one up.

A cursor says where the list goes on (`search.paging`) and to which query it belongs: it holds a
digest of all options that choose the products. `limit`, `fields` and `explain` may differ between
two pages. It also holds the version of the placement; a cursor of an earlier one has expired.
"""

from __future__ import annotations

import binascii
import hashlib
import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Final

import structlog
from sqlalchemy.exc import SQLAlchemyError

from backend.api.context import services
from backend.api.keyed_hash import hmac_sha256
from backend.api.problems import fault_of, invalid_request
from backend.database.failures import why
from backend.errors import CursorExpired, LookalikeError
from backend.search.paging import Position, from_bytes, to_bytes
from backend.search.query import Query

log = structlog.get_logger(__name__)

FORMAT: Final = 1
SIGNATURE_BYTES: Final = 16
DIGEST_BYTES: Final = 8
_VERSION: Final = slice(1, 5)
_PLACEMENT: Final = slice(5, 5 + DIGEST_BYTES)
_QUERY: Final = slice(5 + DIGEST_BYTES, 5 + 2 * DIGEST_BYTES)

UNKNOWN: Final = "is not a `next_cursor` of a list of similar products"
OTHER_QUERY: Final = (
    "belongs to another query: send it with all that the first page was asked with; only `limit`, "
    "`fields` and `explain` may differ"
)


def write_cursor(position: Position | None, query: Query, *about: object) -> str | None:
    """Return the cursor of the page at a position, None if there is none.

    `about` is what the list is of beside the query's options. Where the key that signs cursors
    cannot be stored, there are none.
    """
    if position is None:
        return None
    packed = _head(query, about) + to_bytes(position)
    try:
        key = services().signing_key.read()
    except (LookalikeError, SQLAlchemyError) as error:
        log.warning("lists have no further pages: the key cannot be stored", error=why(error))
        return None
    signed = _signature(key, packed) + packed
    return urlsafe_b64encode(signed).decode().rstrip("=")


def continued(query: Query, cursor: str | None, *about: object) -> Query:
    """Return the query of the page that a cursor names, the query itself without a cursor.

    Raises RequestError for a cursor that was not made here, or for another query; CursorExpired if
    the placement has changed since.
    """
    if cursor is None:
        return query
    packed, head = _checked(cursor), _head(query, about)
    if packed[_PLACEMENT] != head[_PLACEMENT]:
        raise _refused(OTHER_QUERY)
    if packed[_VERSION] != head[_VERSION]:
        raise CursorExpired("the placement has changed: ask for the first page of this list")
    if packed[_QUERY] != head[_QUERY]:
        raise _refused(OTHER_QUERY)
    position = from_bytes(packed[len(head) :])
    return replace(query, after=position, limit=min(query.limit, position.left))


def _checked(cursor: str) -> bytes:
    """Return what a cursor holds; raises RequestError unless its signature is ours."""
    try:
        signed = urlsafe_b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4))
    except (UnicodeError, binascii.Error):
        raise _refused(UNKNOWN) from None
    signature, packed = signed[:SIGNATURE_BYTES], signed[SIGNATURE_BYTES:]
    expected = _signature(services().signing_key.read(), packed)
    if not hmac.compare_digest(signature, expected) or packed[:1] != bytes([FORMAT]):
        raise _refused(UNKNOWN)
    return packed


def _signature(key: bytes, packed: bytes) -> bytes:
    return hmac_sha256(key, packed)[:SIGNATURE_BYTES]


def _refused(detail: str) -> Exception:
    return invalid_request([fault_of("cursor", detail, code="invalid-cursor")])


def _head(query: Query, about: Sequence[object]) -> bytes:
    """Return the format, and of which query a cursor is: placement and its version, options."""
    placement = query.placement
    chooses = f"({about!r}, {query.options.removeprefix('(')}"  # as the text of one tuple
    version = placement.version if placement else 0
    parts = (_digest_of_name(placement and placement.name), _digest(chooses))
    return b"".join((bytes([FORMAT]), version.to_bytes(4), *parts))


@lru_cache(maxsize=64)
def _digest_of_name(placement: str | None) -> bytes:
    return _digest(repr(placement))


def _digest(text: str) -> bytes:
    return hashlib.blake2b(text.encode(), digest_size=DIGEST_BYTES).digest()
