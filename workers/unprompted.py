"""A worker that gets no messages looks at SQL by itself to find due rows.

Messages do not come while Redis is away or refuses them (without memory), and while no scheduler
runs.
"""

from __future__ import annotations

import time
from typing import Final

import structlog

from backend.database.failures import why
from backend.worker.failures import RepeatedFailures
from backend.worker.loop import Worker
from workers.heartbeat import Heartbeat
from workers.tasks import HOST_FAULTS

log = structlog.get_logger(__name__)

QUIET_POLLS: Final = 5
"""A worker looks at SQL after this many times `poll_seconds` without a message; where there are few
workers, each gets one sooner."""

ROUND_SECONDS: Final = 1.0
"""How long it works before the broker is asked again."""


class Unprompted:
    """Calling it works for a moment if no message has come lately; it never raises."""

    def __init__(self, worker: Worker, heartbeat: Heartbeat, *, poll_seconds: float) -> None:
        self._worker = worker
        self._heartbeat = heartbeat
        self._quiet_seconds = QUIET_POLLS * poll_seconds
        self._heard = time.monotonic()
        self._failures = RepeatedFailures("cannot work without messages")

    def note_message(self, **_: object) -> None:
        """Note that a message has come."""
        self._heard = time.monotonic()

    def __call__(self) -> None:
        """Work for a moment, unless messages come."""
        began = time.monotonic()
        if began - self._heard < self._quiet_seconds:
            return
        self._heartbeat.busy()
        try:
            while self._worker.work_once() and time.monotonic() - began < ROUND_SECONDS:
                pass
            self._failures.end()
        except HOST_FAULTS as error:
            self._failures.note(why(error))
        except Exception as error:  # as a task's: the worker goes on
            log.exception("a round of work failed", error=repr(error))
        finally:
            self._heartbeat.idle()
