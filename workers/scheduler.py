"""The scheduler: sends a wake-up message every second, and less often one to reconcile or report.

These messages guarantee that due work is found: if the notifier's message is lost, or the notifier
is paused, the work starts one second later. The scheduler sends nothing while enough messages wait,
so Redis stays small while no worker runs.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any, Final

import structlog
from celery import platforms
from celery.apps.beat import Beat
from celery.beat import ScheduleEntry, Scheduler, SchedulingError, Service

from backend.settings import Settings
from workers import names
from workers.app import BROKER_ERRORS, broker_fault, count_waiting, keep_our_logging, make_app
from workers.broker_clock import BrokerClock
from workers.health import SignOfLife
from workers.names import Queue
from workers.notifier import MAX_WAITING

log = structlog.get_logger(__name__)

ALLOWED_SECONDS: Final = 60.0
"""How long the scheduler may be without an answer of the broker before it counts as unhealthy."""


RARE: Final = 8
"""Messages to report and to reconcile that may wait beside MAX_WAITING wake-up messages, of which
busy workers always have so many."""


class NotifyingScheduler(Scheduler):  # type: ignore[misc]
    """Celery's scheduler, without its schedule file, which sends nothing to a full queue."""

    _broker_answered = True  # last time
    _sign = SignOfLife("beat", allowed_seconds=ALLOWED_SECONDS)

    @cached_property
    def _clock(self) -> BrokerClock:
        return BrokerClock(self.app.conf.broker_url)

    def apply_async(
        self, entry: ScheduleEntry, producer: Any = None, advance: bool = True, **options: Any
    ) -> Any:
        """Send one entry's message, unless enough of them wait or Redis does not take it."""
        sent = None
        try:
            most = MAX_WAITING if entry.task == names.WORK else MAX_WAITING + RARE
            if count_waiting(self.producer.channel, Queue.INDEX) < most:
                entry.options["headers"] = self._clock.stamp(entry.options["expires"])
                sent = super().apply_async(entry, producer, advance, **options)
        except (*BROKER_ERRORS, SchedulingError) as error:
            if self._broker_answered:
                log.warning(f"the broker {broker_fault(error)}", error=str(error))
            self._broker_answered = False
        else:
            self._broker_answered = True
            self._sign.touch()
        return sent


class SchedulerProcess(Beat):  # type: ignore[misc]
    """Celery's beat, which a signal stops between two messages.

    Celery's own handler raises SystemExit at any point. During a read from Redis the client's
    clean-up then fails on the closed socket, with an error that replaces SystemExit and is logged:
    the process goes on and SIGTERM is lost.
    """

    def install_sync_handler(self, service: Service) -> None:
        """On SIGTERM and SIGINT, leave the loop at its next turn."""

        def leave(*_: object) -> None:
            service.stop()

        platforms.signals.update(SIGTERM=leave, SIGINT=leave)


def run(settings: Settings) -> None:
    """Run until SIGTERM, which ends the process within one poll and one answer of Redis."""
    keep_our_logging()
    SchedulerProcess(
        app=make_app(settings),
        scheduler=NotifyingScheduler,
        max_interval=settings.poll_seconds,
        quiet=True,
    ).run()
