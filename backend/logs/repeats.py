"""Errors that come again and again are logged once a minute."""

from __future__ import annotations

import math
import threading
import time
from typing import Any, Final

REPEAT_SECONDS: Final = 60.0
MOST_SEEN: Final = 1000
"""Errors that are remembered, so that endless different ones need no memory."""


class Repeats:
    """Logs an error once, then at most once a minute, with the number of times. Thread-safe."""

    def __init__(self, log: Any, *, seconds: float = REPEAT_SECONDS, level: str = "error") -> None:
        self._log = log
        self._level = level
        self._seconds = seconds
        self._lock = threading.Lock()
        self._seen: dict[tuple[object, ...], tuple[float, int]] = {}  # (logged when, since then)

    def log(self, event: str, **fields: object) -> None:
        """Log an error, unless the same event with the same fields was logged a moment ago."""
        key, now = (event, *fields.values()), time.monotonic()
        with self._lock:
            if len(self._seen) > MOST_SEEN:
                self._seen.clear()
            logged, times = self._seen.get(key, (-math.inf, 0))
            is_time = now - logged >= self._seconds
            self._seen[key] = (now, 0) if is_time else (logged, times + 1)
        if is_time and times:
            fields["times_since"] = times + 1
        if is_time:
            getattr(self._log, self._level)(event, **fields)
