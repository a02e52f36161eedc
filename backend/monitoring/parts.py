"""One part of a scrape: read in a thread, kept for a few seconds, and left out while it fails."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Final, TypeAlias

import structlog
from prometheus_client import Metric

from backend.database.failures import why
from backend.own_threads import start_thread

log = structlog.get_logger(__name__)

Read: TypeAlias = Callable[[], Sequence[Metric]]

GOOD_FOR_SECONDS: Final = 5.0
GOOD_FOR: Final = 20
"""What took long to read is also kept for this many times as long: so it never costs more than a
twentieth of the database's time, however often it is asked for."""


class MetricsPart:
    """Reads some families when they are asked for. Safe to call from several threads.

    At most one thread reads, so a store that does not answer holds no more than that.
    """

    def __init__(self, name: str, read: Read, *, good_for: float = GOOD_FOR_SECONDS) -> None:
        self.name = name
        self._read = read
        self._good_for = good_for
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._ended.set()
        self._families: Sequence[Metric] | None = None
        self._good_until = 0.0
        self._failing = False

    def start(self) -> None:
        """Begin to read, unless it was read a few seconds ago or is being read."""
        with self._lock:
            if time.monotonic() < self._good_until or not self._ended.is_set():
                return
            self._ended.clear()
        if start_thread(self._run, name=f"scrape {self.name}") is None:
            self._ended.set()

    def families(self, *, wait_seconds: float = 0) -> Sequence[Metric] | None:
        """Return the families, read now or a few seconds ago; None if they cannot be read."""
        self._ended.wait(wait_seconds)
        with self._lock:
            return self._families if time.monotonic() < self._good_until else None

    def _run(self) -> None:
        began = time.monotonic()
        try:
            families = self._read()
        except Exception as error:  # noqa: BLE001  (whatever is wrong with a store)
            self._fail(error)
        else:
            now = time.monotonic()
            with self._lock:
                self._failing = False
                self._families = families
                self._good_until = now + max(self._good_for, GOOD_FOR * (now - began))
        finally:
            self._ended.set()

    def _fail(self, error: Exception) -> None:
        if not self._failing:
            log.warning("cannot read metrics", part=self.name, error=why(error))
        self._failing = True
