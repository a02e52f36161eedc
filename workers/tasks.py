"""What a worker does when it is knocked: each body is one call into the backend."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import structlog
from celery import Celery
from celery.worker.request import Request
from redis.exceptions import ConnectionError as BrokerLost

from backend.errors import LookalikeError
from backend.status import status
from backend.working import Worker
from workers import names
from workers.interactive import Replies

log = structlog.get_logger(__name__)

REPORTED: Final = ("products", "pending", "indexed", "quarantined", "oldest_pending_seconds")


class Delivered(Request):  # type: ignore[misc]
    """A message whose acknowledgement has to arrive.

    Celery logs a failed one and goes on; but the message keeps the only place of a worker with
    prefetch 1, which then never asks for another, in silence and for ever.
    """

    def acknowledge(self) -> None:
        """Acknowledge, or raise what makes the consumer connect anew."""
        super().acknowledge()
        if not self.message.acknowledged:
            raise BrokerLost("an acknowledgement was lost")


def register(app: Celery, worker: Worker, *, ring: Callable[[], None], replies: Replies) -> None:
    """Give an application its tasks, done by this process' worker."""

    @app.task(name=names.WORK, throws=(LookalikeError,), Request=Delivered)  # type: ignore[untyped-decorator]
    def work() -> None:
        if worker.work_once():
            ring()  # to go on here
            ring()  # and for a colleague who may be idle

    @app.task(name=names.RECONCILE, throws=(LookalikeError,), Request=Delivered)  # type: ignore[untyped-decorator]
    def reconcile() -> None:
        worker.reconcile()

    @app.task(name=names.REPORT, Request=Delivered)  # type: ignore[untyped-decorator]
    def report() -> None:
        now = status(worker.services)
        log.info("progress", **{name: now[name] for name in REPORTED})

    @app.task(name=names.EMBED, Request=Delivered)  # type: ignore[untyped-decorator]
    def embed(picture: str, spec: str, reply_to: str) -> None:
        replies.answer(picture, spec, reply_to, embed=worker.services.embed_picture)
