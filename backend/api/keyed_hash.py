"""HMAC-SHA256 by a key that signs many short messages."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from typing import Any, Final

BLOCK: Final = 64  # bytes of a block of SHA-256

MOST_KEYS: Final = 64
"""Keys whose states are kept: that of cursors, and those of the clients that ask most."""


def hmac_sha256(key: bytes, message: bytes) -> bytes:
    """Return what `hmac.digest` does, from two states that hold the key.

    `hmac.digest` reads the key anew, which takes longer than a short message.
    """
    inner, outer = (state.copy() for state in _states(key))
    inner.update(message)
    outer.update(inner.digest())
    made: bytes = outer.digest()
    return made


@lru_cache(maxsize=MOST_KEYS)
def _states(key: bytes) -> tuple[Any, Any]:
    """Return SHA-256 after the inner and the outer padding (RFC 2104)."""
    block = (hashlib.sha256(key).digest() if len(key) > BLOCK else key).ljust(BLOCK, b"\0")
    inner, outer = (bytes(byte ^ pad for byte in block) for pad in (0x36, 0x5C))
    return hashlib.sha256(inner), hashlib.sha256(outer)
