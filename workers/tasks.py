"""The Celery tasks: each body is one call into the backend."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Final

import structlog
from celery import Celery, Task
from celery.worker.request import Request
from sqlalchemy.exc import DBAPIError

from backend import log_fields
from backend.errors import LookalikeError
from backend.status import status
from backend.worker.loop import Worker
from workers import names
from workers.broker_clock import BrokerClock
from workers.interactive import Replies

log = structlog.get_logger(__name__)

REPORTED: Final = ("products", "pending", "indexed", "quarantined", "oldest_pending_seconds")


HOST_FAULTS: Final = (LookalikeError, DBAPIError)
"""What Celery logs in one line, without a traceback: it is no fault of the program."""


class Acknowledged(Request):  # type: ignore[misc]
    """A message that the worker's only thread acknowledges at once.

    Celery would acknowledge later, and only log a failure. But a worker with prefetch 1 takes no
    further message while one is unacknowledged: after a failure it would wait forever.
    """

    acknowledged: bool
    clock: BrokerClock

    def maybe_expire(self) -> bool | None:
        """Tell whether the message comes too late, by the clock of the broker."""
        found = self.clock.is_over(self.request_dict)
        late: bool | None = super().maybe_expire() if found is None else found
        return late

    def acknowledge(self) -> None:
        """Acknowledge. If Redis does not answer, the error raised makes the consumer reconnect."""
        if not self.acknowledged:
            self.message.ack()
            self.acknowledged = True


def register(app: Celery, worker: Worker, *, notify: Callable[[], None], replies: Replies) -> None:
    """Define the application's tasks; the worker of this process does the work."""
    Acknowledged.clock = BrokerClock(app.conf.broker_url)

    @app.task(name=names.WORK, throws=HOST_FAULTS, Request=Acknowledged, shared=False)  # type: ignore[untyped-decorator]
    def work() -> None:
        if worker.work_once():
            notify()  # for this worker, to continue
            notify()  # for another worker, which may be idle

    @app.task(name=names.RECONCILE, throws=HOST_FAULTS, Request=Acknowledged, shared=False)  # type: ignore[untyped-decorator]
    def reconcile() -> None:
        worker.maintenance.reconcile()
        worker.maintenance.calibrate_if_due()

    @app.task(name=names.REPORT, throws=HOST_FAULTS, Request=Acknowledged, shared=False)  # type: ignore[untyped-decorator]
    def report() -> None:
        period = timedelta(seconds=worker.services.settings.report_seconds)
        services = worker.services
        # This also stores a fresh count, so that the API need not count.
        now = status(services.db, services.indexes.look_at_shard, recent=period)
        log.info("progress", **{name: now[name] for name in REPORTED})

    @app.task(name=names.EMBED, bind=True, Request=Acknowledged, shared=False)  # type: ignore[untyped-decorator]
    def embed(self: Task, image: str, spec: str, reply_to: str) -> None:
        with log_fields.added(request_id=self.request.get(names.REQUEST_ID)):
            replies.answer(image, spec, reply_to, embed=worker.services.local_encoder.embed)
