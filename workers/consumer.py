"""Celery's consumer, which is connected again within a second of the broker's return.

Between two tries, and each second while it waits for messages, it calls `meanwhile`: SQL says what
is due, and a message is only a hint.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final

import structlog
from celery.worker.consumer import Consumer
from celery.worker.state import maybe_shutdown

log = structlog.get_logger(__name__)

RETRY_SECONDS: Final = 1.0
"""Between two tries to connect. Celery's own pauses grow to half a minute."""

REFUSED_SECONDS: Final = 60.0
"""Between two lines of the log about commands that the broker refuses again and again."""


def _nothing() -> None:
    """Do nothing, as a worker of shoppers' images does."""


class QuickConsumer(Consumer):  # type: ignore[misc]
    """Tries to connect once a second, and logs when it begins to try and when it succeeds.

    `meanwhile` is called once a second while no task runs; it must not raise.
    """

    meanwhile: Callable[[], None] = staticmethod(_nothing)
    _silent_until = 0.0
    _entry: Any = None

    def ensure_connected(self, conn: Any) -> Any:
        """Return the connection once it is made; raises what Celery raises when it has to stop."""
        failed: list[str] = []

        def note(error: Exception, _seconds: float) -> None:
            if not failed:
                log.warning("the broker does not answer", error=str(error))
            failed.append(str(error))
            self.meanwhile()

        self.first_connection_attempt = False
        found = conn.ensure_connection(
            note,
            None,
            callback=maybe_shutdown,
            interval_start=RETRY_SECONDS,
            interval_step=0,
            interval_max=RETRY_SECONDS,
        )
        if failed:
            log.info("the broker answers again", tries=len(failed))
        return found

    def on_ready(self) -> None:
        """Begin to call `meanwhile`; the timer of an earlier connection ends."""
        super().on_ready()
        if self._entry is not None:
            self._entry.cancel()
        self._entry = self.timer.call_repeatedly(RETRY_SECONDS, self.meanwhile)

    def on_connection_error_after_connected(self, exc: Exception) -> None:
        """Close the connection; after a refusal, wait before the broker is asked again."""
        if isinstance(exc, self.channel_errors):
            self._bear_refusal(exc)
        else:
            log.warning("the connection to the broker was lost", error=str(exc))
        super().on_connection_error_after_connected(exc)

    def on_connection_error_before_connected(self, exc: Exception) -> None:
        """Wait before the broker is asked again, which refuses commands; it has answered."""
        self._bear_refusal(exc)

    def _bear_refusal(self, error: Exception) -> None:
        now = time.monotonic()
        if now > self._silent_until:
            log.warning("the broker refuses a command", error=str(error))
            self._silent_until = now + REFUSED_SECONDS
        self.meanwhile()
        until = time.monotonic() + RETRY_SECONDS
        while time.monotonic() < until:
            maybe_shutdown()
            time.sleep(RETRY_SECONDS / 10)
