"""When a shard is rebuilt with a graph."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Policy:
    """How large a shard must be for a graph, and how much may be written before the next one."""

    points: int  # a smaller shard gets no graph
    dirty: float  # share of the points that may have been written since the last build

    def is_due(self, *, points: int, dirty: int | None, busy: bool) -> bool:
        """Tell whether to build. `dirty` is how many points were written since; None: no graph yet.

        While more points are coming (`busy`), such as in an import, a build would soon be out of
        date. Then one is due only when half of the points are outside the graph, so that all
        builds of an import together take no more than about twice the time of the last one.
        """
        if points < self.points:
            return False
        unlinked = points if dirty is None else dirty
        return unlinked > points * (max(self.dirty, 0.5) if busy else self.dirty)
