"""The notifier: it tells the index workers that a row is due. A message is only a hint."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final

from celery import Celery

from backend.outages import Outages
from backend.own_threads import start_thread
from backend.settings import Settings
from workers import names
from workers.app import BROKER_ERRORS, count_waiting
from workers.broker_clock import BrokerClock
from workers.names import Queue

MAX_WAITING: Final = 16
"""The most wake-up messages in Redis, so that it stays small while no worker runs. A worker that
finds work sends more, so a few messages are enough for all workers."""

MESSAGES: Final = "wake-up messages"
"""What the log says does not work while Redis is away, once."""

PAUSE_SECONDS: Final = 2.0
"""After a failure nothing is sent for this time; otherwise each request would wait for Redis."""


class Notifier:
    """Wakes up the index workers. Safe to call from several threads; never raises."""

    def __init__(self, app: Celery, settings: Settings) -> None:
        self._app = app
        self._expires = settings.message_seconds
        self._clock = BrokerClock(str(settings.broker_url))
        self._outages = Outages(first_seconds=PAUSE_SECONDS, longest_seconds=PAUSE_SECONDS)

    def __call__(self) -> None:
        """Send a wake-up message, unless enough of them wait or Redis has just failed to answer."""
        if not self._outages.may_try(MESSAGES):
            return
        try:
            self._send()
        except BROKER_ERRORS as error:  # the scheduler's next message finds the work anyway
            self._outages.fail(MESSAGES, str(error))
        else:
            self._outages.work(MESSAGES)

    def _send(self) -> None:
        with self._app.producer_pool.acquire(block=True) as producer:
            if count_waiting(producer.channel, Queue.INDEX) < MAX_WAITING:
                self._app.send_task(
                    names.WORK,
                    producer=producer,
                    expires=self._expires,
                    headers=self._clock.stamp(self._expires),
                )


class BackgroundNotifier:
    """Has a thread notify, so that a request never waits for Redis. Never raises.

    Calls that come while the thread is busy are one. What is not sent when the process ends costs a
    second: the scheduler sends the next message.
    """

    def __init__(self, notify: Callable[[], None]) -> None:
        self._notify = notify
        self._wanted = threading.Event()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def __call__(self) -> None:
        """Ask for a wake-up message. The first call starts the thread, which no fork copies."""
        self._wanted.set()
        if self._thread is None:
            with self._lock:
                if self._thread is None:
                    self._thread = start_thread(self._run, name="notify")

    def _run(self) -> None:
        while True:
            self._wanted.wait()
            self._wanted.clear()
            self._notify()
