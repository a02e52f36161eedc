"""`image_url`: an image's address that works without a key, for `<img>` in a shop's pages.

It is signed with the key of whoever asked for the product, and names that key by its prefix. So it
ends with its time or with its key, works at every process, and needs no further secret. What is
signed with is the key's digest, which only the database and the key's holder know. The address
stays the same for a day, so that browsers and CDNs can keep what it gives.
"""

from __future__ import annotations

import hmac
import re
import time
from collections.abc import Callable
from functools import lru_cache
from typing import Final
from urllib.parse import quote

from flask import request
from werkzeug.sansio.utils import get_current_url

from backend.access.scope import Scope
from backend.api.context import request_notes, this_request
from backend.api.keyed_hash import hmac_sha256
from backend.api.problems import RequestError

OWNER: Final = "owner"
"""Stands for the prefix of a key where a command of the owner's user on this host asks."""

DAY: Final = 86_400
LENGTH: Final = 32  # hex digits of a signature
VERSION_LENGTH: Final = 16
ADDRESSES: Final = 16_384
"""Addresses that a process remembers, in about 10 MB: each is the same for a day, a list has ten,
and a signature takes longer than all else about a product in an answer."""
CLIENTS: Final = 64
_PLAIN: Final = re.compile(r"[A-Za-z0-9_.~-]+")


def may_see_paths() -> bool:
    """Tell whether this request's client may see where files lie on the server."""
    notes = vars(request_notes())
    scope: Scope = notes.get("scope", Scope.ADMIN)  # without keys everybody may do everything
    return scope.includes(Scope.INGEST) or notes.get("key_prefix") == OWNER


class ImageAddresses:
    """Makes the addresses of images for one client.

    `root` is where it reaches the API. Without a `prefix` it needs no key; without a `secret` its
    key is the owner's token, whose addresses would end with it.
    """

    def __init__(self, root: str, *, prefix: str | None, secret: str | None, expires: int) -> None:
        self._base = f"{root}v1/products/"
        self._prefix = prefix
        self._secret = secret
        self._expires = str(expires)

    @staticmethod
    def of_request() -> ImageAddresses:
        """Return those for the client of this request."""
        expires = (int(time.time()) // DAY + 2) * DAY
        client, notes = this_request(), vars(request_notes())
        prefix, secret = notes.get("key_prefix"), notes.get("key_digest")
        root = _root(client.scheme, client.host, client.root_path)
        return _addresses(root, prefix, secret, expires)

    def of(self, sku: str, number: int = 1, *, uri: str | None, digest: str | None) -> str | None:
        """Return the address of a product's image, None without an image.

        Images are numbered from 1.
        """
        if uri is None or uri.startswith(("https://", "http://")):
            return uri
        if self._prefix and self._secret is None:
            return None
        return _address(self._base, self._prefix, self._secret, self._expires, sku, number, digest)


@lru_cache(maxsize=CLIENTS)
def _addresses(root: str, prefix: str | None, secret: str | None, expires: int) -> ImageAddresses:
    """Return the same object for a client again: its texts need not be compared in `_address`."""
    return ImageAddresses(root, prefix=prefix, secret=secret, expires=expires)


@lru_cache(maxsize=ADDRESSES)
def _address(
    base: str,
    prefix: str | None,
    secret: str | None,
    expires: str,
    sku: str,
    number: int,
    digest: str | None,
) -> str:
    version = (digest or "")[:VERSION_LENGTH]
    query = f"v={version}" if version else ""
    if prefix and secret is not None:
        signature = sign(secret, sku, str(number), version, expires)
        # The values are digits and letters: nothing has to be encoded.
        signed = f"expires={expires}&key={prefix}&signature={signature}"
        query = f"{query}&{signed}" if query else signed
    name = "image" if number == 1 else f"images/{number}"
    address = f"{base}{_quoted(sku)}/{name}"
    return f"{address}?{query}" if query else address


@lru_cache(maxsize=256)
def _root(scheme: str, host: str, path: str) -> str:
    """Return `request.url_root`, which is put together and parsed anew for each request."""
    return get_current_url(scheme, host, path)


def _quoted(sku: str) -> str:
    return sku if _PLAIN.fullmatch(sku) else quote(sku, safe="")


def sign(secret: str, *parts: str) -> str:
    """Return the signature of one image's address: sku, number, version, end."""
    return hmac_sha256(secret.encode(), "\n".join(parts).encode()).hex()[:LENGTH]


def check_signature(sku: str, number: str, find_secret: Callable[[str], str]) -> str:
    """Check the signed address of this request; return the prefix of its key.

    `find_secret(prefix)` returns the digest of a live key, or raises InvalidKey. Raises
    RequestError for an address that was changed, or whose time is over.
    """
    given = request.args
    expires = given.get("expires", "")
    if not expires.isdecimal() or int(expires[:18]) < time.time():
        raise RequestError(
            403, "expired-url", "this address has expired; ask for the product again"
        )
    prefix = given.get("key", "")
    secret = find_secret(prefix)
    expected = sign(secret, sku, number, given.get("v", ""), expires)
    if not hmac.compare_digest(expected.encode(), given.get("signature", "").encode()):
        raise RequestError(403, "invalid-signature", "this address was not made here")
    return prefix


def cache_control(digest: str) -> str:
    """Return how long the answer to this request may be kept, by its image's digest.

    An address that names the image's version always gives this image; others are asked again.
    """
    version = request.args.get("v")
    if not version or not digest.startswith(version):
        return "no-cache"
    expires = request.args.get("expires", "")
    left = int(expires[:18]) - int(time.time()) if expires.isdecimal() else DAY
    return f"public, max-age={max(0, min(left, 2 * DAY))}, immutable"
