"""The body of a request that asks for another protocol.

The parser takes what follows such a header for the other protocol. A server that stays with
HTTP/1.1 has to read it as the body: Java's client sends `Upgrade: h2c` with its first request.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Protocol

import httptools

FRAMING: Final = (b"content-length", b"transfer-encoding")


class TakesBody(Protocol):
    """What takes the parts of a body."""

    def on_body(self, body: bytes) -> None:
        """Take a part."""

    def on_message_complete(self) -> None:
        """Take notice that there is no more."""


def parse_body(
    taker: TakesBody, headers: Iterable[tuple[bytes, bytes]]
) -> httptools.HttpRequestParser:
    """Return a parser that goes on behind a header which was parsed before."""
    parser = httptools.HttpRequestParser(_OneBody(taker))
    framing = [name + b": " + value + b"\r\n" for name, value in headers if name in FRAMING]
    parser.feed_data(b"POST / HTTP/1.1\r\n" + b"".join(framing) + b"\r\n")
    return parser


class _OneBody:
    """Passes the first body on, and nothing that follows it."""

    def __init__(self, taker: TakesBody) -> None:
        self._taker = taker
        self._ended = False

    def on_body(self, body: bytes) -> None:
        """Take a part."""
        if not self._ended:
            self._taker.on_body(body)

    def on_message_complete(self) -> None:
        """End the body."""
        if not self._ended:
            self._ended = True
            self._taker.on_message_complete()
