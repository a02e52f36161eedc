"""Rate limits: counted in Redis if there is a broker, else in each process.

While Redis does not answer, LOOKALIKE_RATE_LIMIT_WITHOUT_REDIS decides: each process counts its own
requests, or none is limited, or all are refused. Answers say what is left in the headers
`RateLimit` and `RateLimit-Policy` (draft-ietf-httpapi-ratelimit-headers).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from ipaddress import ip_address, ip_network
from threading import Lock
from typing import Any, Final, TypeAlias, TypeVar

from flask import Flask, Response, current_app, g, request
from limits import RateLimitItem, WindowStats, parse_many
from limits.errors import StorageError
from limits.storage import MemoryStorage, storage_from_string
from limits.strategies import FixedWindowRateLimiter
from redis.backoff import NoBackoff
from redis.retry import Retry

from backend.api import scopes
from backend.api.problems import RequestError
from backend.errors import InvalidKey
from backend.metrics.instruments import count_unshared
from backend.outages import Outages
from backend.settings import Settings

NAMESPACE: Final = "lookalike"
STORE: Final = "the store of rate limits"
FIRST_SECONDS: Final = 1.0
LONGEST_SECONDS: Final = 5.0
"""Between two tries of a store that does not answer; one request at a time waits for it."""
REDIS_OPTIONS: Final[dict[str, Any]] = {
    "socket_connect_timeout": 1,
    "socket_timeout": 1,
    "retry": Retry(NoBackoff(), 0),  # a request waits for a dead Redis once
    "wrap_exceptions": True,
}


LOCAL: Final = "local"
CLOSED: Final = "closed"
ATTEMPT: Final = "attempt"

SET_SECONDS: Final = 1.0
"""The clock was set if it has gone so much more, or less, than the time that has passed."""

T = TypeVar("T")

Left: TypeAlias = tuple[RateLimitItem, WindowStats]
"""A limit, how many requests are left of it, and when its count begins anew."""


class CountsHere(MemoryStorage):
    """Counts of this process. They end when they should, also if the host's clock is set.

    The library compares with the time of day: after a step back by an hour, whoever had used up a
    minute's requests would have had to wait for an hour.
    """

    def __init__(self) -> None:
        super().__init__()
        self._ahead = _clock_ahead()
        self._step_lock = Lock()

    def follow_clock(self) -> None:
        """Move the ends of all counts by as much as the clock was set since the last call."""
        ahead = _clock_ahead()
        if abs(ahead - self._ahead) < SET_SECONDS:
            return
        with self._step_lock:
            step, self._ahead = ahead - self._ahead, ahead
            for key, ends_at in list(self.expirations.items()):
                self.expirations[key] = ends_at + step


def _clock_ahead() -> float:
    """Return the seconds that the time of day is ahead of the time since the host's start."""
    return time.time() - time.monotonic()


class RateLimits:
    """Counts the requests of each client of one app, and its requests with a wrong key."""

    def __init__(self, settings: Settings) -> None:
        self._namespace = settings.redis_prefix + NAMESPACE
        self._limits = parse_many(settings.rate_limit) if settings.rate_limit else []
        self._attempts = parse_many(settings.key_attempts)
        self._without_redis = settings.rate_limit_without_redis
        self._outages = Outages(first_seconds=FIRST_SECONDS, longest_seconds=LONGEST_SECONDS)
        self._counts_here = CountsHere()
        self._here = FixedWindowRateLimiter(self._counts_here)
        self._shared: FixedWindowRateLimiter | None = None
        if settings.broker_url:
            storage = storage_from_string(settings.broker_url, **REDIS_OPTIONS)
            self._shared = FixedWindowRateLimiter(storage)

    def register(self, app: Flask) -> None:
        """Answer 429 beyond the limit. Call it after authentication, which finds the key."""
        if self._limits:
            app.before_request(self._check)
            app.after_request(_say_what_is_left)

    def _check(self) -> None:
        """Count this request; raise the 429 beyond a limit, the 503 if that cannot be known."""
        if _is_public():
            return
        where = (self._namespace, "client", _client())
        left = self._count(self._limits, where, self._without_redis)
        if left is None:
            if self._without_redis == CLOSED:
                headers = {"Retry-After": str(math.ceil(LONGEST_SECONDS))}
                detail = "the counts of the rate limits do not answer; try again later"
                raise RequestError(503, "rate-limits-unavailable", detail, headers=headers)
            return
        g.rate_limits = [(limit, stats) for limit, stats, _ in left]
        if beyond := [(limit, stats) for limit, stats, is_allowed in left if not is_allowed]:
            limit, stats = max(beyond, key=lambda it: it[1].reset_time)
            raise _too_many(f"at most {limit} are allowed", until=stats.reset_time)

    def _count(
        self, limits: Sequence[RateLimitItem], where: tuple[str, ...], decision: str
    ) -> list[tuple[RateLimitItem, WindowStats, bool]] | None:
        """Count a request against limits; None if nobody counts while Redis does not answer."""

        def ask(counts: FixedWindowRateLimiter) -> list[tuple[RateLimitItem, WindowStats, bool]]:
            allowed = [counts.hit(limit, *where) for limit in limits]
            stats = [counts.get_window_stats(limit, *where) for limit in limits]
            return list(zip(limits, stats, allowed, strict=True))

        return self._ask(ask, decision)

    def _ask(self, ask: Callable[[FixedWindowRateLimiter], T], decision: str) -> T | None:
        """Ask the shared counts, or those of this process; None if neither is to be asked."""
        self._counts_here.follow_clock()
        if self._shared is None:
            return ask(self._here)
        if self._outages.may_try(STORE):
            try:
                found = ask(self._shared)
            except StorageError as error:
                self._outages.fail(STORE, str(error.storage_error))
            else:
                self._outages.work(STORE)
                return found
        count_unshared(decision)
        return ask(self._here) if self._without_redis == LOCAL else None

    @contextmanager
    def attempt(self) -> Iterator[None]:
        """Count wrong keys by address; after too many, raise a 429 before a key is looked up.

        A key is checked also while nobody counts.
        """
        where = (self._namespace, "keys", _address())

        def beyond(counts: FixedWindowRateLimiter) -> list[RateLimitItem]:
            return [limit for limit in self._attempts if not counts.test(limit, *where)]

        if refused := self._ask(beyond, ATTEMPT):
            detail = f"too many unknown keys from this address: {refused[0]} are allowed"
            until = time.time() + refused[0].get_expiry()
            raise _too_many(detail, until=until, code="too-many-attempts")
        try:
            yield
        except InvalidKey:
            self._count(self._attempts, where, ATTEMPT)
            raise


def _say_what_is_left(response: Response) -> Response:
    left: list[Left] = g.get("rate_limits", [])
    if left:
        now = time.time()
        response.headers["RateLimit-Policy"] = ", ".join(
            f'"{_name(limit)}";q={limit.amount};w={limit.get_expiry()}' for limit, _ in left
        )
        response.headers["RateLimit"] = ", ".join(
            f'"{_name(limit)}";r={stats.remaining};t={max(0, math.ceil(stats.reset_time - now))}'
            for limit, stats in left
        )
    return response


def _name(limit: RateLimitItem) -> str:
    """Return the name of a policy, such as `1000-per-minute`."""
    several = f"{limit.multiples}-" if limit.multiples > 1 else ""
    return f"{limit.amount}-per-{several}{limit.GRANULARITY.name}"


def _too_many(detail: str, *, until: float, code: str = "too-many-requests") -> RequestError:
    seconds = max(1, math.ceil(until - time.time()))
    headers = {"Retry-After": str(seconds)}
    return RequestError(429, code, f"{detail}; try again in {seconds} s", headers=headers)


def _client() -> str:
    """Return what identifies a client: its key, or else its address."""
    return g.get("key_prefix") or _address()


def _address() -> str:
    """Return the client's address; for IPv6 its /64 network, since one host may use all of it."""
    try:
        address = ip_address(request.remote_addr or "")
    except ValueError:
        return "unknown"
    return str(ip_network((address, 64), strict=False)) if address.version == 6 else str(address)


def _is_public() -> bool:
    endpoint = request.endpoint
    return endpoint is None or scopes.required_scope(current_app, endpoint) is scopes.PUBLIC
