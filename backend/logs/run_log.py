"""The lines of one long run, such as an import."""

from __future__ import annotations

import time
from typing import Final

import structlog

log = structlog.get_logger(__name__)

PROGRESS_SECONDS: Final = 30.0
"""Between two lines about one long run."""


class RunLog:
    """The lines of one long run: that it started, how far it is now and then, how it ended."""

    def __init__(self, event: str, **about: object) -> None:
        self._event = event
        self._log = log.bind(**about)
        self._began = self._told = time.monotonic()
        self._log.info(f"{event} started")

    def progress(self, **counts: object) -> None:
        """Tell how far the run is, at most every PROGRESS_SECONDS."""
        if time.monotonic() - self._told >= PROGRESS_SECONDS:
            self._told = time.monotonic()
            self._log.info(f"{self._event} goes on", seconds=self._seconds(), **counts)

    def end(self, **counts: object) -> None:
        """Tell how the run ended."""
        self._log.info(f"{self._event} ended", seconds=self._seconds(), **counts)

    def fail(self, error: BaseException) -> None:
        """Tell that the run ended by an error."""
        reason = str(error) or type(error).__name__
        self._log.warning(f"{self._event} failed", seconds=self._seconds(), error=reason)

    def _seconds(self) -> float:
        return round(time.monotonic() - self._began, 1)
