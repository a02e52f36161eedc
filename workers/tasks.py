"""What a worker does when it is knocked: each body is one call into the backend."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import structlog
from celery import Celery

from backend.errors import LookalikeError
from backend.status import status
from backend.working import Worker
from workers import names
from workers.interactive import Replies

log = structlog.get_logger(__name__)

REPORTED: Final = ("products", "pending", "indexed", "quarantined", "oldest_pending_seconds")


def register(app: Celery, worker: Worker, *, ring: Callable[[], None], replies: Replies) -> None:
    """Give an application its tasks, done by this process' worker."""

    @app.task(name=names.WORK, throws=(LookalikeError,))  # type: ignore[untyped-decorator]
    def work() -> None:
        if worker.work_once():
            ring()  # to go on here
            ring()  # and for a colleague who may be idle

    @app.task(name=names.RECONCILE, throws=(LookalikeError,))  # type: ignore[untyped-decorator]
    def reconcile() -> None:
        worker.reconcile()

    @app.task(name=names.REPORT)  # type: ignore[untyped-decorator]
    def report() -> None:
        now = status(worker.services)
        log.info("progress", **{name: now[name] for name in REPORTED})

    @app.task(name=names.EMBED)  # type: ignore[untyped-decorator]
    def embed(picture: str, spec: str, reply_to: str) -> None:
        replies.answer(picture, spec, reply_to, embed=worker.services.embed_picture)
