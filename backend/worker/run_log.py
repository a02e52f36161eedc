"""The lines that a process leaves about its work on the queue."""

from __future__ import annotations

import time
from typing import Final

from backend.logs import RunLog

WORTH_PRODUCTS: Final = 100
WORTH_SECONDS: Final = 5.0
"""From so many products, or so long, on: a single write leaves the line of its request only."""


class IndexingLog:
    """Turns rounds into runs: a run begins with a round that finds work, and ends with one without.

    Counts how many times products were taken, so a product that is tried again counts again.
    """

    def __init__(self) -> None:
        self._began: float | None = None
        self._run: RunLog | None = None
        self._taken: dict[str, int] = {}

    def count_round(self, *, embedded: int, applied: int) -> None:
        """Take note of one round, also of one that found nothing to do."""
        if not (embedded or applied):
            self._end()
            return
        if self._began is None:
            self._began, self._taken = time.monotonic(), {"embedded": 0, "applied": 0}
        self._taken["embedded"] += embedded
        self._taken["applied"] += applied
        if self._run is None and self._is_worth_it(self._began):
            self._run = RunLog("indexing")
        if self._run:
            self._run.progress(**self._taken)

    def _is_worth_it(self, began: float) -> bool:
        many = max(self._taken.values()) >= WORTH_PRODUCTS
        return many or time.monotonic() - began >= WORTH_SECONDS

    def _end(self) -> None:
        if self._run:
            self._run.end(**self._taken)
        self._began = self._run = None
