"""What web pages may do with this API: nothing, unless the settings allow their origin.

An API that needs keys is safe from pages, since no browser sends a key by itself. One that needs
none trusts every client that reaches it. A page in the operator's browser reaches it: by a request
across sites, or under a name of its own that resolves to this host (DNS rebinding).
"""

from __future__ import annotations

from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

from flask import Flask, Request, request
from flask_cors import CORS

from backend.api import idempotency, scopes
from backend.api.problems import RequestError
from backend.api.request_log import HEADER
from backend.settings import Settings

SAFE: Final = ("GET", "HEAD", "OPTIONS")
OWN_SITE: Final = ("same-origin", "none")
"""Values of `Sec-Fetch-Site` for our own pages, and for a person who has typed the address."""

PREFLIGHT_SECONDS: Final = 600

MAY_SEND: Final = ("Authorization", "Content-Type", "If-Match", "If-None-Match")
MAY_READ: Final = ("ETag", "Location", "RateLimit", "RateLimit-Policy", "Retry-After")
"""Headers of requests and of answers, beside our own, that pages of allowed origins may use."""


def register_browser_rules(app: Flask, settings: Settings, *, locked: bool) -> None:
    """Refuse what a page of another site asks for, and answer the pages that are allowed."""
    if not locked and not settings.exposed:
        app.before_request(_refuse_foreign_hosts)
    if not locked:
        app.before_request(lambda: refuse_foreign_pages(settings.cors_origins))
    if settings.cors_origins:
        CORS(
            app,
            origins=list(settings.cors_origins),
            allow_headers=[*MAY_SEND, scopes.HEADER, idempotency.HEADER, HEADER],
            expose_headers=[*MAY_READ, idempotency.REPLAYED, HEADER],
            max_age=PREFLIGHT_SECONDS,
        )


def is_preflight(sent: Request) -> bool:
    """Tell whether a browser asks whether a page may ask. It cannot send a key with that."""
    return sent.method == "OPTIONS" and "Access-Control-Request-Method" in sent.headers


def _refuse_foreign_hosts() -> None:
    if not is_loopback(request.host):
        raise RequestError(
            421,
            "misdirected-request",
            "without keys this server answers only as localhost or 127.0.0.1. Behind a proxy set "
            "LOOKALIKE_PROXIES; otherwise LOOKALIKE_REQUIRE_KEYS=true",
        )


def is_loopback(host: str) -> bool:
    """Tell whether the name in a Host header, with or without a port, is this host's own."""
    name = ""
    try:
        name = (urlsplit(f"//{host}").hostname or "").rstrip(".")
        return ip_address(name).is_loopback
    except ValueError:
        return name == "localhost" or name.endswith(".localhost")


def _is_ours(origin: str) -> bool:
    """Tell whether an Origin header names this server; one that is malformed names nobody."""
    try:
        return urlsplit(origin).netloc == request.host
    except ValueError:
        return False


def refuse_foreign_pages(allowed: tuple[str, ...] = ()) -> None:
    """Raise the 403 where a page of an origin that is not allowed wants to change something."""
    origin = request.headers.get("Origin")
    if request.method in SAFE or origin in allowed:
        return
    site = request.headers.get("Sec-Fetch-Site", "none")
    if site not in OWN_SITE or not (origin is None or _is_ours(origin)):
        raise RequestError(
            403,
            "cross-site-request",
            f"a page of {origin or 'another site'} may not change anything here; "
            "LOOKALIKE_CORS_ORIGINS names the origins that may",
        )
