"""What a worker does when it is knocked: each body is one call into the backend."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Final

import structlog
from celery import Celery
from celery.worker.request import Request

from backend.errors import LookalikeError
from backend.status import status
from backend.worker.loop import Worker
from workers import names
from workers.interactive import Replies

log = structlog.get_logger(__name__)

REPORTED: Final = ("products", "pending", "indexed", "quarantined", "oldest_pending_seconds")


class Acknowledged(Request):  # type: ignore[misc]
    """A message that is acknowledged at once, by the one thread there is.

    Celery would do it later, and only log a failure. But a message that stays unacknowledged takes
    the one place that a worker with prefetch 1 has: it would never ask for another, in silence.
    """

    acknowledged: bool

    def acknowledge(self) -> None:
        """Acknowledge; raises what makes the consumer connect anew when Redis does not answer."""
        if not self.acknowledged:
            self.message.ack()
            self.acknowledged = True


def register(app: Celery, worker: Worker, *, notify: Callable[[], None], replies: Replies) -> None:
    """Give an application its tasks, done by this process' worker."""

    @app.task(name=names.WORK, throws=(LookalikeError,), Request=Acknowledged)  # type: ignore[untyped-decorator]
    def work() -> None:
        if worker.work_once():
            notify()  # to go on here
            notify()  # and for a colleague who may be idle

    @app.task(name=names.RECONCILE, throws=(LookalikeError,), Request=Acknowledged)  # type: ignore[untyped-decorator]
    def reconcile() -> None:
        worker.maintenance.reconcile()

    @app.task(name=names.REPORT, Request=Acknowledged)  # type: ignore[untyped-decorator]
    def report() -> None:
        every = timedelta(seconds=worker.services.settings.report_seconds)
        services = worker.services
        # It counts where the API would have to count soon.
        now = status(services.db, services.indexes.look_at_shard, recent=every)
        log.info("progress", **{name: now[name] for name in REPORTED})

    @app.task(name=names.EMBED, Request=Acknowledged)  # type: ignore[untyped-decorator]
    def embed(picture: str, spec: str, reply_to: str) -> None:
        replies.answer(picture, spec, reply_to, embed=worker.services.local_encoder.embed)
