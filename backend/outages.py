"""What does not work at the moment, and when to try again: an image host, decoders, a device.

A product that waits for one of these is not at fault. It waits as long as the outage lasts, and
the delay between two tries grows.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock
from typing import Final

import structlog

log = structlog.get_logger(__name__)

FIRST_SECONDS: Final = 5.0
LONGEST_SECONDS: Final = 60.0
"""Between two tries. The time doubles with each that fails."""


@dataclass
class _Outage:
    reason: str
    since: float
    failures: int = 0
    delay: float = 0.0
    retry_at: float = 0.0
    is_probed: bool = False  # whether a caller was told to try

    @property
    def is_on(self) -> bool:
        """Whether more failures have been seen in a row than are tolerated."""
        return self.delay > 0


class Outages:
    """Remembers by name what does not work. Safe to share between threads of one process.

    The log has one line when an outage begins, and one when it ends.
    """

    def __init__(
        self,
        *,
        first_seconds: float = FIRST_SECONDS,
        longest_seconds: float = LONGEST_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._first = max(first_seconds, 0.001)
        self._longest = max(longest_seconds, self._first)
        self._clock = clock
        self._outages: dict[str, _Outage] = {}
        self._lock = Lock()
        self.ended = 0  # outages that are over

    def fail(
        self, what: str, reason: str, *, tolerated: int = 0, longest: float | None = None
    ) -> float:
        """Note a failure; return the seconds to wait, 0 while so many in a row are tolerated.

        Failures of tries that were under way when the outage began do not make it longer.
        """
        with self._lock:
            now = self._clock()
            outage = self._outages.setdefault(what, _Outage(reason, since=now))
            outage.failures += 1
            outage.reason = reason
            if outage.failures <= tolerated:
                return 0.0
            if outage.is_probed or now >= outage.retry_at:
                outage.is_probed = False
                began = not outage.is_on
                outage.delay = min(longest or self._longest, outage.delay * 2 or self._first)
                outage.retry_at = now + outage.delay
                if began:
                    log.warning("an outage began", what=what, reason=reason)
            return max(outage.retry_at - now, 0.001)

    def work(self, what: str) -> None:
        """Note that it works."""
        with self._lock:
            outage = self._outages.pop(what, None)
            if outage is None or not outage.is_on:
                return
            self.ended += 1
            seconds = round(self._clock() - outage.since, 1)
            log.info("an outage ended", what=what, seconds=seconds, failures=outage.failures)

    def may_try(self, what: str) -> bool:
        """Tell whether to try now. While it does not work, one caller is told so at a time.

        That caller has to report how it went by `fail` or `work`. If it never does, another caller
        is told to try after the same time.
        """
        with self._lock:
            outage = self._outages.get(what)
            if outage is None or not outage.is_on:
                return True
            now = self._clock()
            if now < outage.retry_at:
                return False
            outage.retry_at, outage.is_probed = now + outage.delay, True
            return True

    def seconds_left(self, what: str) -> float:
        """Return how long to wait before the next try; 0 when it works, or may be tried."""
        with self._lock:
            outage = self._outages.get(what)
            if outage is None or not outage.is_on:
                return 0.0
            return max(0.0, outage.retry_at - self._clock())

    def listed(self) -> dict[str, str]:
        """Return {what does not work: why}."""
        with self._lock:
            return {what: it.reason for what, it in self._outages.items() if it.is_on}

    def reason(self, what: str) -> str | None:
        """Return why something does not work; None if it does."""
        with self._lock:
            outage = self._outages.get(what)
            return outage.reason if outage and outage.is_on else None
