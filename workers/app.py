"""Celery, made from settings. Making it connects to nothing.

A wake-up message carries no data: it says "look at the queue", and the queue is in SQL. So messages
may be lost, repeated or late. The configuration only keeps them few, small and short-lived.
"""

from __future__ import annotations

import logging
import ssl
from typing import Any, Final
from urllib.parse import urlsplit

from celery import Celery, signals
from kombu.exceptions import KombuError
from redis.exceptions import OutOfMemoryError, ReadOnlyError, RedisError, ResponseError

from backend.errors import ConfigurationError
from backend.settings import Settings
from workers import names
from workers.names import Queue

VISIBILITY_SECONDS: Final = 300
"""After this time, longer than a task takes, Redis delivers again what a killed worker had taken. A
wake-up message has expired by then and is dropped, so the only effect is that the list of
unacknowledged messages stays short."""

CHECK: Final = "lookalike:check"
"""What a check writes: a replica and a Redis without memory answer all that only reads."""

BROKER_ERRORS: Final = (KombuError, RedisError, OSError)
"""What is raised when Redis does not answer, or refuses a command."""

_REFUSALS: Final = {
    OutOfMemoryError: "takes no messages: its memory is full (maxmemory)",
    ReadOnlyError: "takes no messages: it is a replica that can only be read",
    ResponseError: "refuses commands",
}
"""What Redis says when it answers, but does not do what it is asked. The first that fits counts."""


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
        worker_consumer="workers.consumer:QuickConsumer",
        worker_enable_prefetch_count_reduction=False,
        worker_cancel_long_running_tasks_on_connection_loss=True,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_channel_error_retry=True,  # Redis refuses commands, as without memory
        broker_use_ssl=_tls_of(settings.broker_url),
        broker_transport_options={
            "visibility_timeout": VISIBILITY_SECONDS,
            "global_keyprefix": settings.redis_prefix,
            "max_retries": 0,  # for senders; consumers reconnect without end
            "socket_connect_timeout": 2,
            "socket_timeout": 5,
            "socket_keepalive": True,
        },
        beat_schedule=_make_schedule(settings),
    )
    return app


def _tls_of(url: str) -> dict[str, Any] | None:
    """Return the TLS options of a broker whose address names none.

    Without it kombu accepts any certificate.
    """
    parts = urlsplit(url)
    if parts.scheme != "rediss" or "ssl_" in parts.query:
        return None
    return {"ssl_cert_reqs": ssl.CERT_REQUIRED, "ssl_check_hostname": True}


def _make_schedule(settings: Settings) -> dict[str, dict[str, Any]]:
    """Return what the scheduler sends. An embedded shard is reconciled by its owner instead."""
    intervals = {names.WORK: settings.poll_seconds, names.REPORT: settings.report_seconds}
    if settings.qdrant_url:
        intervals[names.RECONCILE] = settings.reconcile_seconds
    return {
        task: {"task": task, "schedule": seconds, "options": {"expires": _expiry(settings, task)}}
        for task, seconds in intervals.items()
    }


def _expiry(settings: Settings, task: str) -> float:
    """Return how long a message is valid; a rare one has to wait behind many rounds of work."""
    rare = max(settings.message_seconds, VISIBILITY_SECONDS)
    return settings.message_seconds if task == names.WORK else rare


def count_waiting(channel: Any, queue: Queue) -> int:
    """Count the messages of a queue that no worker has taken yet."""
    return int(channel.queue_declare(queue=queue.value).message_count)


def check_broker(app: Celery) -> str | None:
    """Return None if the broker answers and can be written to, else what is wrong, in short."""
    try:
        with app.producer_pool.acquire(block=True) as producer:
            count_waiting(producer.channel, Queue.INDEX)
            producer.channel.client.set(CHECK, "", px=1000)
    except BROKER_ERRORS as error:
        return broker_fault(error)
    return None


def broker_fault(error: BaseException) -> str:
    """Say what is wrong with the broker, as the end of a sentence, without an address or a key."""
    at: BaseException | None = error
    while at is not None:
        for kind, fault in _REFUSALS.items():
            if isinstance(at, kind):
                return fault
        at = at.__cause__ or at.__context__
    return "does not answer"


def keep_our_logging() -> None:
    """Stop Celery from configuring logging, from printing, and from a line for each message."""
    from celery.apps import worker as apps_worker  # noqa: PLC0415  # only a worker needs it

    signals.setup_logging.connect(_leave_logging_alone)
    apps_worker.safe_say = _say_nothing  # which a signal's handler calls: it must not log
    for name in (
        "celery.app.trace",
        "celery.beat",
        "celery.worker.request",
        "celery.worker.strategy",
    ):
        logging.getLogger(name).setLevel(logging.WARNING)
    # Its warnings say that the connection was lost, which `workers.consumer` says.
    logging.getLogger("celery.worker.consumer.consumer").setLevel(logging.ERROR)


def _say_nothing(*_: object) -> None:
    """Do nothing in place of Celery's function that prints to the original stdout."""


def _leave_logging_alone(**_: object) -> None:
    """Do nothing: Celery configures logging only if its signal has no receiver."""
