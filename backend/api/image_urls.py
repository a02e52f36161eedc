"""`image_url`: an image's address that works without a key, for `<img>` in a shop's pages.

It is signed with the key of whoever asked for the product, and names that key by its prefix. So it
ends with its time or with its key, works at every process, and needs no further secret. What is
signed with is the key's digest, which only the database and the key's holder know. The address
stays the same for a day, so that browsers and CDNs can keep what it gives.
"""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Callable
from typing import Final
from urllib.parse import quote, urlencode

from flask import g, request

from backend.access.scope import Scope
from backend.api.problems import RequestError

OWNER: Final = "owner"
"""Stands for the prefix of a key where a command of the owner's user on this host asks."""

DAY: Final = 86_400
LENGTH: Final = 32  # hex digits of a signature
VERSION_LENGTH: Final = 16


def may_see_paths() -> bool:
    """Tell whether this request's client may see where files lie on the server."""
    scope: Scope = g.get("scope", Scope.ADMIN)  # without keys everybody may do everything
    return scope.includes(Scope.INGEST) or g.get("key_prefix") == OWNER


def image_url(sku: str, number: int = 1, *, uri: str | None, digest: str | None) -> str | None:
    """Return the address of a product's image for this request's client, None without an image.

    Images are numbered from 1.
    """
    if uri is None or uri.startswith(("https://", "http://")):
        return uri
    version = (digest or "")[:VERSION_LENGTH]
    parameters = {"v": version} if version else {}
    if prefix := g.get("key_prefix"):
        if (secret := g.get("key_digest")) is None:  # the owner's token, which ends with it
            return None
        expires = str((int(time.time()) // DAY + 2) * DAY)
        signature = sign(secret, sku, str(number), version, expires)
        parameters |= {"expires": expires, "key": prefix, "signature": signature}
    name = "image" if number == 1 else f"images/{number}"
    base = f"{request.url_root}v1/products/{quote(sku, safe='')}/{name}"
    return f"{base}?{urlencode(parameters)}" if parameters else base


def sign(secret: str, *parts: str) -> str:
    """Return the signature of one image's address: sku, number, version, end."""
    message = "\n".join(parts).encode()
    return hmac.new(secret.encode(), message, hashlib.sha256).hexdigest()[:LENGTH]


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
