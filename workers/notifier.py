"""The doorbell: tell the workers that something is due. Never more than a hint."""

from __future__ import annotations

import time
from typing import Final

import structlog
from celery import Celery

from backend.settings import Settings
from workers import names
from workers.app import BROKER_ERRORS, waiting
from workers.names import Queue

log = structlog.get_logger(__name__)

MAX_WAITING: Final = 16
"""Knocks in Redis that nobody has taken. A worker that finds work knocks again, so that all get
busy however few wait; and while none is there, Redis stays small."""

DEAF_SECONDS: Final = 2.0
"""After a failure the bell is left alone for so long, lest every request wait for a dead Redis."""


class Notifier:
    """Rings for the index workers. Safe to call from several threads; never raises."""

    def __init__(self, app: Celery, settings: Settings) -> None:
        self._app = app
        self._expires = settings.knock_seconds
        self._deaf_until = 0.0

    def __call__(self) -> None:
        """Send a knock, unless enough of them wait or Redis has just failed to answer."""
        if time.monotonic() < self._deaf_until:
            return
        try:
            self._knock()
        except BROKER_ERRORS as error:  # beat's next sweep finds the work anyway
            self._deaf_until = time.monotonic() + DEAF_SECONDS
            log.warning("the doorbell is dead", error=str(error))

    def _knock(self) -> None:
        with self._app.producer_pool.acquire(block=True) as producer:
            if waiting(producer.channel, Queue.INDEX) < MAX_WAITING:
                self._app.send_task(names.WORK, producer=producer, expires=self._expires)
