"""The clock: knocks once a second, and now and then for a reconcile or a report.

The knocks of the clock are what guarantees that due work is found: a lost or dead doorbell costs a
second. It sends nothing while enough knocks wait, so that Redis stays small while no worker runs.
"""

from __future__ import annotations

from typing import Any

import structlog
from celery.beat import ScheduleEntry, Scheduler

from backend.settings import Settings
from workers.app import BROKER_ERRORS, keep_logs, make_app, waiting
from workers.doorbell import MAX_WAITING
from workers.names import Queue

log = structlog.get_logger(__name__)


class Clock(Scheduler):  # type: ignore[misc]
    """Celery's scheduler without a file of its own, and quiet before a full queue."""

    _heard = True  # whether Redis answered last time

    def apply_async(
        self, entry: ScheduleEntry, producer: Any = None, advance: bool = True, **options: Any
    ) -> Any:
        """Send one entry's knock, unless enough wait or Redis does not answer."""
        sent = None
        try:
            if waiting(self.producer.channel, Queue.INDEX) < MAX_WAITING:
                sent = super().apply_async(entry, producer, advance, **options)
        except BROKER_ERRORS as error:
            if self._heard:
                log.warning("the broker does not answer", error=str(error))
            self._heard = False
        else:
            self._heard = True
        return sent


def run(settings: Settings) -> None:
    """Run the clock until SIGTERM."""
    keep_logs()
    make_app(settings).Beat(scheduler=Clock, max_interval=settings.poll_seconds, quiet=True).run()
