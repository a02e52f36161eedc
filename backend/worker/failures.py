"""A failure that comes back at each try: logged when it changes or ends, with a growing delay."""

from __future__ import annotations

from typing import Any, Final

import structlog

log = structlog.get_logger(__name__)

LONGEST_SECONDS: Final = 30.0


class RepeatedFailures:
    """The failures in a row of one loop. `message` is the line of the log."""

    def __init__(self, message: str) -> None:
        self._message = message
        self._reason: str | None = None
        self._count = 0

    def note(self, reason: str, **details: Any) -> None:
        """Note one more; log it if it is not the same as the one before."""
        if reason != self._reason:
            log.warning(self._message, reason=reason, **details)
        self._reason = reason
        self._count += 1

    def end(self) -> None:
        """Note a success."""
        if self._count:
            log.info(f"{self._message} no longer", failures=self._count)
        self._reason, self._count = None, 0

    def pause(self, seconds: float) -> float:
        """Return how long to wait: `seconds`, doubled with each failure after the first."""
        doubled = seconds * 2.0 ** max(0, min(self._count, 20) - 1)
        return max(seconds, min(doubled, LONGEST_SECONDS))
