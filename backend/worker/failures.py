"""A failure that comes back at each try: logged when it begins, changes or ends."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Any, Final

import structlog

log = structlog.get_logger(__name__)

LONGEST_SECONDS: Final = 30.0

QUIET_SECONDS: Final = 90.0
"""A failure is over when there was none for so long. What waits for a full disk or a database is
tried again after up to a minute, and in between there is nothing that could fail."""

MOST_REASONS: Final = 20
"""Reasons of one failure that are logged, once each."""


class RepeatedFailures:
    """The failures of one loop. `message` is the line of the log.

    Each reason is logged once until the failure is over; reasons that differ in numbers alone, such
    as free bytes, are the same.
    """

    def __init__(self, message: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._message = message
        self._clock = clock
        self._reasons: set[str] = set()
        self._total = 0  # since it began
        self._in_a_row = 0
        self._last = 0.0  # when it failed last

    def note(self, reason: str, **details: Any) -> None:
        """Note one more; log it if its reason is new."""
        kind = re.sub(r"\d+", "0", reason)
        if kind not in self._reasons and len(self._reasons) < MOST_REASONS:
            self._reasons.add(kind)
            log.warning(self._message, reason=reason, **details)
        self._total += 1
        self._in_a_row += 1
        self._last = self._clock()

    def end(self) -> None:
        """Note a success; log that the failure is over once there was none for QUIET_SECONDS."""
        self._in_a_row = 0
        if self._total and self._clock() - self._last >= QUIET_SECONDS:
            log.info(f"{self._message} no longer", failures=self._total)
            self._reasons.clear()
            self._total = 0

    def pause(self, seconds: float) -> float:
        """Return how long to wait: `seconds`, doubled with each failure in a row but the first."""
        doubled = seconds * 2.0 ** max(0, min(self._in_a_row, 20) - 1)
        return max(seconds, min(doubled, LONGEST_SECONDS))
