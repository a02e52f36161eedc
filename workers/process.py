"""The worker process: `python -m workers.process`, started by `lookalike worker`.

Everything is made after the exec, in one process that works in one thread (Celery's solo pool), so
a CUDA context is never inherited. And it is made before the first message is taken, so no message
waits for a network to load.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import structlog
from celery import Celery, signals
from PIL import Image
from sqlalchemy.exc import DBAPIError

from backend import bootstrap, generations, logs
from backend.bootstrap import Services
from backend.errors import ConfigurationError, LookalikeError
from backend.jobs import runners
from backend.metrics.snapshots import Publisher
from backend.settings import Settings, read_settings
from backend.worker.failures import RepeatedFailures
from backend.worker.loop import Worker
from workers import tasks
from workers.app import keep_our_logging, make_app
from workers.consumer import QuickConsumer
from workers.heartbeat import Heartbeat
from workers.interactive import RemoteEmbedder, Replies
from workers.names import Queue
from workers.notifier import Notifier
from workers.unprompted import Unprompted

log = structlog.get_logger(__name__)

RETRY_SECONDS: Final = 5.0
TICK_SECONDS: Final = 0.2
"""How often a worker that is refused asks again, and shows life meanwhile."""

ROLES: Final = {Queue.INDEX: "worker", Queue.INTERACTIVE: "interactive"}
"""What a worker of each queue is called in metrics."""


def main() -> int:
    """Consume one queue until SIGTERM; return the exit status."""
    options = _parse()
    settings = read_settings()
    logs.configure(settings.log_level)
    logs.log_uncaught_errors()
    keep_our_logging()
    heartbeat = Heartbeat(options.heartbeat, stop_seconds=settings.stop_seconds)
    heartbeat.start()
    app = make_app(settings)
    notify = Notifier(app, settings)
    services = _build(settings, app, notify, heartbeat)
    worker = Worker(services)
    publisher = Publisher(options.metrics or settings.metrics_dir, role=ROLES[options.queue])
    publisher.start()
    _recover(worker, heartbeat)
    warm_up(services)
    tasks.register(app, worker, notify=notify, replies=Replies(settings))
    _connect(worker, heartbeat, options.queue)
    celery_worker = _celery_worker(app, options, settings)
    heartbeat.idle()
    log.info("worker ready", queue=options.queue, name=options.name)
    try:
        celery_worker.start()
    finally:
        publisher.stop()
        with suppress(DBAPIError):  # else its row is forgotten after a minute
            runners.forget(services.db)
        services.close()
        log.info("worker ended", queue=options.queue, name=options.name)
    return int(celery_worker.exitcode or 0)


def _build(settings: Settings, app: Celery, notify: Notifier, heartbeat: Heartbeat) -> Services:
    """Build the services; a database that does not answer is waited for."""
    services = bootstrap.build(
        settings,
        notify=notify,
        heartbeat=heartbeat,
        embed_remotely=RemoteEmbedder(app, settings),
        embeds=True,
        wait=True,
    )
    if services.arrival.problem:
        services.arrival.wait(heartbeat=heartbeat)
    return services


def _connect(worker: Worker, heartbeat: Heartbeat, queue: Queue) -> None:
    """Connect Celery's signals to heartbeat and worker; let index workers work between messages."""
    if queue == Queue.INDEX:
        unprompted = Unprompted(
            worker, heartbeat, poll_seconds=worker.services.settings.poll_seconds
        )
        signals.task_prerun.connect(unprompted.note_message)
        QuickConsumer.meanwhile = staticmethod(unprompted)
    signals.task_prerun.connect(heartbeat.busy)
    signals.task_postrun.connect(heartbeat.idle)
    signals.worker_shutting_down.connect(lambda **_: worker.stop(), weak=False)


def _celery_worker(app: Celery, options: argparse.Namespace, settings: Settings) -> Any:
    return app.Worker(
        hostname=f"{options.name}@{os.uname().nodename}",
        queues=[options.queue],
        pool="solo",
        without_gossip=True,
        without_mingle=True,
        without_heartbeat=not settings.task_events,
        quiet=True,
    )


def _recover(worker: Worker, heartbeat: Callable[[], None]) -> None:
    """Let a worker begin; wait while the vector store refuses it, which is logged once."""
    failures = RepeatedFailures("the worker cannot begin")
    while True:
        try:
            worker.recover()
        except ConfigurationError as error:
            failures.note(error.message)
        else:
            return failures.end()
        until = time.monotonic() + RETRY_SECONDS
        while time.monotonic() < until:
            heartbeat()
            time.sleep(TICK_SECONDS)


def warm_up(services: Services) -> None:
    """Load every network in use and embed a grey image with it, so that no shopper waits for it."""
    with services.db.read() as session:
        live = generations.live(session)
    for generation in live:
        try:
            embedder = services.embedders.of(generation)
        except LookalikeError as error:
            log.warning("cannot load an embedder", spec=generation.embedder, error=error.message)
            continue
        height, width = embedder.input_size
        embedder.embed([Image.new("RGB", (width, height), "grey")])


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="lookalike-worker")
    parser.add_argument("--queue", choices=list(Queue), required=True)
    parser.add_argument("--name", required=True)
    parser.add_argument("--heartbeat", type=int, required=True, help="file descriptor of a socket")
    parser.add_argument("--metrics", type=Path, help="where this group of processes counts")
    return parser.parse_args()


if __name__ == "__main__":
    try:
        sys.exit(main())
    except LookalikeError as error:
        log.error("the worker cannot start", error=error.message)
        sys.exit(1)
    except Exception as error:
        said = bootstrap.explain(error, read_settings())
        if said is None:
            raise
        log.error("the worker cannot go on", error=said)
        sys.exit(1)
