"""Time limits of PostgreSQL's statements; by default there is none.

A server that is stopped, or a network that loses packets, closes no connection, and the driver
waits for ever. `postgresql` keeps to these limits.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

limit: ContextVar[float | None] = ContextVar("limit", default=None)
"""Seconds that one statement of this thread may take; None: as long as it takes."""

REQUEST_SECONDS: Final = 10.0
"""For statements of requests: no view needs nearly as long."""

PING_SECONDS: Final = 2.0
"""For the check whether a connection of the pool still works."""


@contextmanager
def at_most(seconds: float) -> Iterator[None]:
    """Let no statement of this thread take longer, within the block."""
    found = limit.get()
    token = limit.set(seconds if found is None else min(seconds, found))
    try:
        yield
    finally:
        limit.reset(token)
