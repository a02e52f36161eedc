"""How old a message is, by the clock of Redis: the hosts of sender and worker need not agree.

Celery compares the clocks of two hosts. A worker whose clock is a minute ahead would throw away
every message as it comes.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from typing import Any, Final

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

SENT_AT: Final = "lookalike_sent_at"
VALID_SECONDS: Final = "lookalike_valid_seconds"
"""Headers of a message. Releases share them: they must not change."""

ASK_SECONDS: Final = 10.0
"""How often Redis is asked for the time; in between the time that passes here is added."""


class BrokerClock:
    """The clock of the message broker. Safe to use in several threads."""

    def __init__(self, broker_url: str) -> None:
        self._redis = Redis.from_url(
            broker_url, socket_connect_timeout=2, socket_timeout=2, retry=Retry(NoBackoff(), 0)
        )
        self._lock = threading.Lock()
        self._known: tuple[float, float] | None = None  # (Redis' time, the time here)

    def stamp(self, seconds: float) -> dict[str, float]:
        """Return the headers of a message that is valid for some seconds; raises RedisError."""
        return {SENT_AT: self._now(), VALID_SECONDS: seconds}

    def is_over(self, headers: Mapping[str, Any]) -> bool | None:
        """Tell whether a message is no longer valid; None where that is not known."""
        sent, valid = headers.get(SENT_AT), headers.get(VALID_SECONDS)
        if not isinstance(sent, int | float) or not isinstance(valid, int | float):
            return None  # an older release has sent it
        try:
            return self._now() > sent + valid
        except RedisError:
            return None

    def _now(self) -> float:
        with self._lock:
            here = time.monotonic()
            if self._known is None or here - self._known[1] > ASK_SECONDS:
                seconds, microseconds = self._redis.time()
                self._known = (seconds + microseconds / 1e6, time.monotonic())
            there, then = self._known
            return there + time.monotonic() - then
