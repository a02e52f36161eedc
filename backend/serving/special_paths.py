"""The paths whose requests are answered in another way than by the next free thread."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class SpecialPaths:
    """Paths by what is special about their requests; all but `uploads` mean GET requests only."""

    direct: Mapping[str, bytes] = field(default_factory=dict)
    """Answered with this JSON, without a thread."""
    apart: frozenset[str] = frozenset()
    """These have threads of their own, so they never wait behind other requests."""
    turns: tuple[str, ...] = ()
    """Ends of paths whose requests take turns (`request_threads`)."""
    in_loop: bool = False
    """Whether the event loop answers short ones of those itself (`short_reads`)."""
    uploads: Mapping[str, int] = field(default_factory=dict)
    """Bytes that a body may have, which is read to the disk; also below a proxy's prefix."""
