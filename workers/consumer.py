"""Celery's consumer, which is connected again within a second of the broker's return."""

from __future__ import annotations

from typing import Any, Final

import structlog
from celery.worker.consumer import Consumer
from celery.worker.state import maybe_shutdown

log = structlog.get_logger(__name__)

RETRY_SECONDS: Final = 1.0
"""Between two tries to connect. Celery's own pauses grow to half a minute."""


class QuickConsumer(Consumer):  # type: ignore[misc]
    """Tries to connect once a second, and logs when it begins to try and when it succeeds."""

    def ensure_connected(self, conn: Any) -> Any:
        """Return the connection once it is made; raises what Celery raises when it has to stop."""
        failed: list[str] = []

        def note(error: Exception, _seconds: float) -> None:
            if not failed:
                log.warning("the broker does not answer", error=str(error))
            failed.append(str(error))

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
