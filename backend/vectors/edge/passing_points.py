"""Which points pass a filter, as the engine has said before.

Walks without a filter (`post_filter`) meet the same points again and again, and shops ask by the
same few filters. To ask the engine which points of a walk pass takes half as long as the walk.
What it has said of a point holds until that point is written.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from threading import Lock
from typing import Final
from weakref import WeakSet

import qdrant_edge as qe

from backend.filters import Schema, Where
from backend.vectors.edge.filter_cache import FilterCache

MOST_FILTERS: Final = 32
LARGEST_ID: Final = 2**20
"""Points of larger ids, such as those of further images, are asked about each time. So a filter
takes a byte for each product, and all of them 32 MB at most."""

UNKNOWN, FAILS, PASSES = range(3)


class _Known:
    """What is known of one filter: a byte for each id."""

    def __init__(self, _where: Where) -> None:
        self.verdicts = bytearray()

    def note(self, ids: Iterable[int], passing: Collection[int]) -> None:
        """Note which of some points pass."""
        noted = [id_ for id_ in ids if id_ < LARGEST_ID]
        missing = max(noted, default=-1) + 1 - len(self.verdicts)
        if missing > 0:
            self.verdicts.extend(bytes(missing))
        for id_ in noted:
            self.verdicts[id_] = PASSES if id_ in passing else FAILS

    def forget(self, ids: Iterable[int]) -> None:
        """Forget some points."""
        size = len(self.verdicts)
        for id_ in ids:
            if id_ < size:
                self.verdicts[id_] = UNKNOWN


class PassingPoints:
    """Which points of one index pass, by filter. Threads may share it."""

    def __init__(self, schema: Schema) -> None:
        self._by_filter = FilterCache[_Known](schema, most=MOST_FILTERS)
        self._all: WeakSet[_Known] = WeakSet()
        self._lock = Lock()  # for writing them
        self._writes = 0

    def keeps(self, where: Where) -> bool:
        """Tell whether it is kept which points pass this filter."""
        return self._by_filter.keeps(where)

    def of(
        self,
        where: Where,
        points: Sequence[qe.ScoredPoint],
        ask: Callable[[set[int]], Iterable[qe.ScoredPoint]],
    ) -> list[qe.ScoredPoint]:
        """Return those of some points that pass a filter, in their order.

        `ask` asks the engine: it returns those of some ids that pass now.
        """
        known = self._by_filter.of(where, self._begin)
        ids, verdicts = [int(point.id) for point in points], known.verdicts
        size = len(verdicts)
        unknown = {id_ for id_ in ids if id_ >= size or verdicts[id_] == UNKNOWN}
        passing = self._learn(known, unknown, ask) if unknown else unknown
        return [
            point
            for id_, point in zip(ids, points, strict=True)
            if (id_ in passing if id_ in unknown else verdicts[id_] == PASSES)
        ]

    def forget(self, ids: Collection[int]) -> None:
        """Forget points that were just written, or that a write has failed to change."""
        with self._lock:
            self._writes += 1
            for known in self._all:
                known.forget(ids)

    def _begin(self, where: Where) -> _Known:
        known = _Known(where)
        with self._lock:
            self._all.add(known)
        return known

    def _learn(
        self, known: _Known, ids: set[int], ask: Callable[[set[int]], Iterable[qe.ScoredPoint]]
    ) -> set[int]:
        """Ask which points pass, and note it unless something was written meanwhile."""
        writes = self._writes
        passing = {int(point.id) for point in ask(ids)}
        with self._lock:
            if writes == self._writes:
                known.note(ids, passing)
        return passing
