"""When a shard is worth a graph."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Policy:
    """How large a shard must be for a graph, and how much of it may be compared beside it."""

    points: int  # a smaller shard is compared point by point
    dirty: float  # share of the points that may have been written since

    def is_due(self, *, points: int, dirty: int | None, busy: bool) -> bool:
        """Tell whether to build; `dirty` None: there is no graph yet.

        While more is coming (`busy`), such as an import, a build would be out of date when it is
        ready: then only where half of the points are out of the graph, so that all builds of an
        import together take no more than about twice the last one.
        """
        if points < self.points:
            return False
        unlinked = points if dirty is None else dirty
        return unlinked > points * (max(self.dirty, 0.5) if busy else self.dirty)
