"""Celery, made from settings. Making it connects to nothing.

A knock carries no data: it says "look at the queue", which is SQL. So knocks may be lost, doubled
or late, and everything here is set for few, small and short-lived messages rather than safe ones.
"""

from __future__ import annotations

import logging
from typing import Any, Final

from celery import Celery, signals
from kombu.exceptions import KombuError
from redis.exceptions import RedisError

from backend.errors import ConfigurationError
from backend.settings import Settings
from workers import names
from workers.names import Queue

VISIBILITY_SECONDS: Final = 300
"""When Redis hands out again what a killed worker had taken. Longer than any task normally takes;
a knock is stale by then and dropped, so this only keeps the list of unacknowledged ones short."""

BROKER_ERRORS: Final = (KombuError, RedisError, OSError)
"""What is raised when Redis does not answer."""


def make_app(settings: Settings) -> Celery:
    """Make the Celery application. Raises ConfigurationError without BROKER_URL."""
    if not settings.broker_url:
        raise ConfigurationError("BROKER_URL is not set: Celery needs Redis")
    app = Celery("lookalike", broker=settings.broker_url, set_as_current=False)
    app.conf.update(
        accept_content=["json"],
        task_serializer="json",
        task_ignore_result=True,
        task_acks_late=True,
        task_publish_retry=False,
        task_default_queue=Queue.INDEX,
        task_routes={names.EMBED: {"queue": Queue.INTERACTIVE}},
        worker_concurrency=1,
        worker_prefetch_multiplier=1,
        worker_send_task_events=settings.task_events,
        task_send_sent_event=settings.task_events,
        worker_enable_remote_control=settings.task_events,
        worker_redirect_stdouts=False,
        worker_enable_prefetch_count_reduction=False,
        worker_cancel_long_running_tasks_on_connection_loss=True,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_transport_options={
            "visibility_timeout": VISIBILITY_SECONDS,
            "max_retries": 0,  # of who sends; a consumer tries again for ever
            "socket_connect_timeout": 2,
            "socket_timeout": 5,
            "socket_keepalive": True,
        },
        beat_schedule=_schedule(settings),
    )
    return app


def _schedule(settings: Settings) -> dict[str, dict[str, Any]]:
    """Return what beat sends. An embedded shard is reconciled by its owner."""
    options = {"expires": settings.knock_seconds}
    times = {names.WORK: settings.poll_seconds, names.REPORT: settings.report_seconds}
    if settings.qdrant_url:
        times[names.RECONCILE] = settings.reconcile_seconds
    return {
        task: {"task": task, "schedule": seconds, "options": options}
        for task, seconds in times.items()
    }


def waiting(channel: Any, queue: Queue) -> int:
    """Count the messages of a queue that no worker has taken yet."""
    return int(channel.queue_declare(queue=queue.value).message_count)


def trouble(app: Celery) -> str | None:
    """Say that the broker does not answer, or None."""
    try:
        with app.producer_pool.acquire(block=True) as producer:
            waiting(producer.channel, Queue.INDEX)
    except BROKER_ERRORS:
        return "does not answer"
    return None


def keep_logs() -> None:
    """Keep Celery from setting up logs of its own, and from a line for every knock."""
    signals.setup_logging.connect(_ours)
    for name in ("celery.app.trace", "celery.beat", "celery.worker.strategy"):
        logging.getLogger(name).setLevel(logging.WARNING)


def _ours(**_: object) -> None:
    """Be a receiver: that alone tells Celery that logs are taken care of."""
