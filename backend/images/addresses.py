"""Which remote addresses may be fetched from: the one rule for images and feeds, API and fetch."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Final
from urllib.parse import SplitResult, urlsplit

from backend.errors import ForbiddenImage

PORTS: Final = {"https": 443, "http": 80}
SCHEMES: Final = (*PORTS, "s3")

_CONTROL_CHARACTER: Final = re.compile(r"[\x00-\x1f\x7f]")


def host_of(uri: str) -> str:
    """Return the name under which an outage of an address's host is kept."""
    return f"image host {uri.partition('://')[2].partition('/')[0].lower()}"


def parse_address(uri: str, *, hosts: Collection[str], what: str = "image") -> SplitResult:
    """Return the parts of `https://…`, `http://…` or `s3://bucket/…` if its host is allowed.

    `hosts` are the allowed ones, in any case: `name`, `name:port` for another port than the
    scheme's own, or a bucket. Raises ForbiddenImage otherwise, and for an address with credentials
    or control characters; the messages call it `what`.
    """
    if _CONTROL_CHARACTER.search(uri):  # `urlsplit` removes some of them without a word
        raise ForbiddenImage(f"the {what}'s address holds control characters")
    try:
        parts = urlsplit(uri)
        port = parts.port
    except ValueError:
        raise ForbiddenImage(f"the {what}'s address is malformed") from None
    if parts.scheme not in SCHEMES:
        raise ForbiddenImage(f"{parts.scheme}:// is not supported: use https://, http:// or s3://")
    if "@" in parts.netloc or not parts.hostname:
        raise ForbiddenImage(f"the {what}'s address has no host, or holds credentials")
    is_default_port = port in (None, PORTS.get(parts.scheme))
    host = parts.hostname if is_default_port else f"{parts.hostname}:{port}"
    if host not in {allowed.lower() for allowed in hosts}:
        raise ForbiddenImage(f"{host} is not among the hosts that {what}s may be fetched from")
    return parts
