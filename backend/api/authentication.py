"""The locked door: each request is let in by an API key whose scope its view is content with.

A key comes as `Authorization: Bearer` or `X-Api-Key`, never in an address, which ends in logs. This
is the only place that reads it; it goes on as its prefix.
"""

from __future__ import annotations

from typing import Final

import structlog
from flask import Flask, current_app, g, request
from sqlalchemy.exc import OperationalError
from werkzeug.middleware.proxy_fix import ProxyFix

from backend.access import keys
from backend.access.key_cache import KeyCache
from backend.access.scope import Scope
from backend.api import scopes
from backend.api.limits import RateLimits
from backend.bootstrap import Services
from backend.errors import InsufficientScope, MissingKey
from backend.settings import Settings

log = structlog.get_logger(__name__)

COMMAND: Final = "`lookalike keys create NAME --scope {scope}`"


def register(app: Flask, services: Services, *, locked: bool) -> None:
    """Let into an app who may come in, and nobody too often."""
    settings = services.settings
    believe_proxies(app, settings)
    if not locked and not settings.rate_limit:
        return
    limits = RateLimits(settings)
    if locked:
        app.before_request(Authenticator(services, limits).admit)
    limits.register(app)


def believe_proxies(app: Flask, settings: Settings) -> None:
    """Take the client's address from the proxies before us, if there are any."""
    if hops := settings.proxies:
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=hops, x_proto=hops)  # type: ignore[method-assign]


class Authenticator:
    """Asks every request for its key, but those for what is open."""

    def __init__(self, services: Services, limits: RateLimits) -> None:
        self._owner = services.owner
        self._key_cache = KeyCache(services.db, attempt=limits.attempt)

    def admit(self) -> None:
        """Raise MissingKey, InvalidKey, InsufficientScope or the 429, unless it may come in."""
        if request.endpoint is None:
            return  # there is nothing at this address, as the answer will say
        needed = scopes.of(current_app, request.endpoint)
        if needed is scopes.OPEN:
            return
        token = _sent()
        if token is None:
            raise MissingKey(
                f"this needs an API key, sent as `Authorization: Bearer …` or `{scopes.HEADER}: …`;"
                f" {COMMAND.format(scope=needed)} makes one"
            )
        g.key_prefix, scope = self._identify(token)
        structlog.contextvars.bind_contextvars(key=g.key_prefix)
        if not scope.includes(needed):
            raise InsufficientScope(f"this needs the scope {needed}; the key's is {scope}")

    def _identify(self, token: str) -> tuple[str, Scope]:
        """Return what a key may be called, and its scope. Raises InvalidKey, or the 429."""
        if self._owner.recognises(token):
            return "owner", Scope.READ
        key = self._key_cache.find(token)
        return key.prefix, key.scope


def _sent() -> str | None:
    """Return the key that this request came with; another scheme's `Authorization` is none."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer" and token.strip():
        return token.strip()
    return request.headers.get(scopes.HEADER) or None


def trouble(services: Services) -> str | None:
    """Say that nobody can be let in, or None."""
    try:
        with services.db.read() as session:
            found = keys.is_any_live(session)
    except OperationalError:
        return "unknown, since the database does not answer"
    return None if found else f"there is none; {COMMAND.format(scope=Scope.READ)} makes one"


def warn(services: Services) -> None:
    """Say in the log that nobody can be let in, or that everybody is."""
    settings = services.settings
    if settings.locked and (reason := trouble(services)):
        log.warning("no API key opens the door", keys=reason)
    elif settings.exposed and not settings.locked:
        log.warning("no API key is needed: all who reach this address may read, write and delete")
