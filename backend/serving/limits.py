"""What one connection and one request may cost."""

from __future__ import annotations

import resource
from dataclasses import dataclass
from typing import Final

FREE_DESCRIPTORS: Final = 256
"""Descriptors that are left for everything but connections: databases, files, decoders."""

MOST_DESCRIPTORS: Final = 16_384


@dataclass(frozen=True, kw_only=True)
class HttpLimits:
    """Limits of connections and requests. Sizes are in bytes, times in seconds."""

    seconds: float = 10
    """How long a header may take, and how long a body or an answer may stand still at first."""

    bytes_per_second: int = 32_000
    """What a body must bring, and a client must take, on average beyond `seconds`."""

    target: int = 8190
    """Length of the path and query: a filter can be long."""

    header: int = 32_768
    fields: int = 100
    """Number of header fields."""

    body: int = 21_000_000
    """A longer body is not kept; the app answers 413."""

    buffered: int = 252_000_000
    """Bytes of large bodies that all requests of a process may hold together."""

    keep_alive: float = 75
    """How long an idle connection is kept: longer than nginx keeps one to its upstream (60)."""

    connections: int = 4000
    waiting: int = 256
    """Requests that may wait for a thread."""


def raise_descriptor_limit(limits: HttpLimits) -> int:
    """Allow this process more open files; return how many connections it may hold."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = min(MOST_DESCRIPTORS, hard if hard != resource.RLIM_INFINITY else MOST_DESCRIPTORS)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        soft = wanted
    if soft == resource.RLIM_INFINITY:
        return limits.connections
    return max(16, min(limits.connections, soft - FREE_DESCRIPTORS))
