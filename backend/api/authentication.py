"""Authentication: a request needs an API key whose scope includes the scope of its view.

A key is sent as `Authorization: Bearer` or `X-Api-Key`, never in the address, because addresses are
logged. Only this module reads the key; the rest of the program knows its prefix.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeAlias

import structlog
from flask import Flask, Request, current_app, g
from sqlalchemy.exc import OperationalError

from backend import log_fields
from backend.access import keys
from backend.access.key_cache import KeyCache, LiveKey
from backend.access.scope import Scope
from backend.api import browsers, image_urls, scopes
from backend.api.context import request_notes, this_app, this_request
from backend.api.proxies import trust_proxies
from backend.api.rate_limits import RateLimits
from backend.bootstrap import Services
from backend.database import patience
from backend.errors import DatabaseUnavailable, InsufficientScope, MissingKey

log = structlog.get_logger(__name__)

SIGNED: Final = ("images.get_image", "images.get_one_image")
"""The views that a signature in their address opens, in the place of a key."""

AUTHENTICATOR: Final = "lookalike.authenticator"
"""Where a locked app keeps its authenticator: `app.extensions[AUTHENTICATOR]`."""

SESSIONS: Final = "lookalike.sessions"
"""Where an app with web pages keeps what finds the key of a page's session: a SessionKey."""

SessionKey: TypeAlias = Callable[[Callable[[str], LiveKey | None]], LiveKey | None]
"""Returns the key of the session that this request has, None without one. What it gets finds the
live key with a prefix."""

CHECK_SECONDS: Final = 1.5
"""Time limit of the look whether there is any key."""

COMMAND: Final = "`lookalike keys create NAME --scope {scope}`"


def register_authentication(app: Flask, services: Services, *, locked: bool) -> None:
    """Check the key of each request if the app is locked, and limit the rate of requests."""
    settings = services.settings
    trust_proxies(app, hops=settings.proxies)
    if not locked and not settings.rate_limit:
        return
    limits = RateLimits(settings)
    if locked:
        app.extensions[AUTHENTICATOR] = authenticator = Authenticator(services, limits)
        app.before_request(authenticator.authenticate)
    limits.register(app)


class Authenticator:
    """Checks the key of every request, but for public views."""

    def __init__(self, services: Services, limits: RateLimits) -> None:
        self._owner = services.owner
        self._key_cache = KeyCache(services.db, attempt=limits.attempt)

    def authenticate(self) -> None:
        """Raise MissingKey, InvalidKey, InsufficientScope or the 429 unless the key allows this."""
        sent, notes = this_request(), request_notes()
        endpoint = sent.endpoint
        if endpoint is None or browsers.is_preflight(sent):
            return  # the answer will be 404, or what pages may do, which is no secret
        needed = scopes.required_scope(this_app(), endpoint)
        if needed is scopes.PUBLIC:
            return
        token = _sent_key(sent)
        if token is None and endpoint in SIGNED and "signature" in sent.args:
            place = sent.view_args or {}
            g.key_prefix = image_urls.check_signature(
                place["sku"], place.get("number", "1"), self._key_cache.digest_of
            )
            g.scope = Scope.READ
            return
        live = self._of_session() if token is None else None
        if token is None and live is None:
            raise MissingKey(
                f"this needs an API key, sent as `Authorization: Bearer …` or `{scopes.HEADER}: …`;"
                f" {COMMAND.format(scope=needed)} makes one"
            )
        if live is not None:
            g.key_prefix, g.key_digest, scope = live.key.prefix, live.digest, live.key.scope
        elif token is not None:
            notes.key_prefix, scope = self._identify(token)
        notes.scope = scope
        log_fields.add(key=notes.key_prefix)
        if not scope.includes(needed):
            raise InsufficientScope(f"this needs the scope {needed}; the key's is {scope}")

    def find(self, token: str) -> LiveKey:
        """Return the live key that somebody typed into a page; raises InvalidKey, or the 429."""
        return self._key_cache.find(token)

    def _of_session(self) -> LiveKey | None:
        find: SessionKey | None = current_app.extensions.get(SESSIONS)
        return find(self._key_cache.live) if find else None

    def _identify(self, token: str) -> tuple[str, Scope]:
        """Return the prefix of a key, and its scope. Raises InvalidKey, or the 429."""
        if self._owner.recognises(token):
            return image_urls.OWNER, Scope.READ
        live = self._key_cache.find(token)
        request_notes().key_digest = live.digest
        return live.key.prefix, live.key.scope


def _sent_key(sent: Request) -> str | None:
    """Return the key in the headers of this request; other schemes of `Authorization` have none."""
    given: str = sent.environ.get("HTTP_AUTHORIZATION", "")
    scheme, _, token = given.partition(" ")
    if scheme.lower() == "bearer" and token.strip():
        return token.strip()
    return sent.headers.get(scopes.HEADER) or None


def check_keys(services: Services) -> str | None:
    """Return a sentence if no key is valid, since then every request is refused; else None."""
    try:
        with patience.at_most(CHECK_SECONDS), services.db.read() as session:
            found = keys.is_any_live(session)
    except (OperationalError, DatabaseUnavailable):
        return "unknown, since the database does not answer"
    return None if found else f"there is none; {COMMAND.format(scope=Scope.READ)} makes one"


def warn_about_keys(services: Services) -> None:
    """Log a warning if no key is valid, or if the API is exposed and needs no key."""
    settings = services.settings
    if settings.locked and (reason := check_keys(services)):
        log.warning("there is no valid API key", keys=reason)
    elif settings.exposed and not settings.locked:
        log.warning("no API key is needed: all who reach this address may read, write and delete")
