"""The clock: knocks once a second, and now and then for a reconcile or a report.

The knocks of the clock are what guarantees that due work is found: a lost or dead doorbell costs a
second. It sends nothing while enough knocks wait, so that Redis stays small while no worker runs.
"""

from __future__ import annotations

from typing import Any

import structlog
from celery import platforms
from celery.apps.beat import Beat
from celery.beat import ScheduleEntry, Scheduler, Service

from backend.settings import Settings
from workers.app import BROKER_ERRORS, keep_logs, make_app, waiting
from workers.names import Queue
from workers.notifier import MAX_WAITING

log = structlog.get_logger(__name__)


class NotifyingScheduler(Scheduler):  # type: ignore[misc]
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


class SchedulerProcess(Beat):  # type: ignore[misc]
    """Celery's beat, stopped between two knocks.

    Celery's own handler raises SystemExit wherever the signal finds it. Inside a read from Redis
    the client's clean-up then fails on the closed socket, with an error that takes the place of
    SystemExit and is logged: the process runs on and SIGTERM is lost.
    """

    def install_sync_handler(self, service: Service) -> None:
        """Answer SIGTERM and SIGINT by leaving the loop at its next turn."""

        def leave(*_: object) -> None:
            service.stop()

        platforms.signals.update(SIGTERM=leave, SIGINT=leave)


def run(settings: Settings) -> None:
    """Run the clock until SIGTERM, which ends it within one poll and one answer of Redis."""
    keep_logs()
    SchedulerProcess(
        app=make_app(settings),
        scheduler=NotifyingScheduler,
        max_interval=settings.poll_seconds,
        quiet=True,
    ).run()
