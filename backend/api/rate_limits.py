"""Rate limits, by Flask-Limiter: counted in Redis if there is a broker, else in each process.

While Redis does not answer, each process counts its own requests.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ipaddress import ip_address, ip_network
from typing import Any, Final

from flask import Flask, Response, current_app, g, request
from flask_limiter import Limiter, RateLimitExceeded
from limits import RateLimitItem, parse_many
from limits.errors import StorageError
from limits.storage import MemoryStorage
from redis.backoff import NoBackoff
from redis.retry import Retry

from backend.api import scopes
from backend.api.problems import RequestError, respond
from backend.errors import InvalidKey
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


class RateLimits:
    """Counts the requests of each client of one app, and its requests with a wrong key."""

    def __init__(self, settings: Settings) -> None:
        self._namespace = settings.redis_prefix + NAMESPACE
        limits = [settings.rate_limit] if settings.rate_limit else []
        self._has_limit = bool(limits)
        self._attempts: list[RateLimitItem] = parse_many(settings.key_attempts)
        self._outages = Outages(first_seconds=FIRST_SECONDS, longest_seconds=LONGEST_SECONDS)
        self._limiter = Limiter(
            _client,
            application_limits=[*limits],
            application_limits_exempt_when=_is_public,
            storage_uri=settings.broker_url or "memory://",
            storage_options=REDIS_OPTIONS if settings.broker_url else {},
            in_memory_fallback_enabled=True,
            key_prefix=self._namespace,
        )

    def register(self, app: Flask) -> None:
        """Answer 429 beyond the limit. Call it after authentication, which finds the key."""
        self._limiter.init_app(app)
        self._limiter.enabled = (
            self._has_limit
        )  # else each request would pay for a check of nothing
        app.register_error_handler(RateLimitExceeded, self._respond)

    def _respond(self, error: RateLimitExceeded) -> Response:
        now = self._limiter.current_limit
        until = now.reset_at if now else time.time() + error.limit.limit.get_expiry()
        return respond(_too_many(f"at most {error.description} are allowed", until=until))

    def _counted(self, ask: Callable[..., bool], limit: RateLimitItem, *where: str) -> bool:
        """Test or hit a limit; True if Redis does not answer, since the key is checked anyway."""
        try:
            found = ask(limit, *where)
        except StorageError as error:
            self._outages.fail(STORE, str(error.storage_error))
            return True
        self._outages.work(STORE)
        return found

    @contextmanager
    def attempt(self) -> Iterator[None]:
        """Count wrong keys by address; after too many, raise a 429 before a key is looked up."""
        where = (self._namespace, "keys", _address())
        counts_here = isinstance(self._limiter.limiter.storage, MemoryStorage)
        if not counts_here and not self._outages.may_try(STORE):  # the key is checked anyway
            yield
            return
        for limit in self._attempts:
            if not self._counted(self._limiter.limiter.test, limit, *where):
                detail = f"too many unknown keys from this address: {limit} are allowed"
                until = time.time() + limit.get_expiry()
                raise _too_many(detail, until=until, code="too-many-attempts")
        try:
            yield
        except InvalidKey:
            for limit in self._attempts:
                self._counted(self._limiter.limiter.hit, limit, *where)
            raise


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
