"""The session of a page: a signed cookie that stands for an API key.

A browser cannot send a key by itself, so where keys are needed, a person types one in once
(`signing_in`). The cookie names the key by its public prefix, and is signed with the key's digest,
as `image_url` is: it ends with its time or with its key, works at every process, and needs no
further secret. Only pages read it, never the API. A page of another site gets no cookie along
(`SameSite=Strict`), and a form without the token of the session is refused.
"""

from __future__ import annotations

import hmac
import re
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from flask import g, request
from werkzeug.wrappers import Response

from backend.access.key_cache import LiveKey
from backend.api.browsers import SAFE
from backend.api.problems import RequestError

COOKIE: Final = "lookalike_session"
SECONDS: Final = 12 * 3600
"""How long a session lasts."""

PAGES: Final = "web_"
"""What the names of the blueprints of pages begin with."""

HEADER: Final = "X-Csrf-Token"
FIELD: Final = "csrf_token"
"""Where scripts and forms send the token of the session."""

_COOKIE: Final = re.compile(r"(lk_[0-9a-f]{12})\.([0-9]{1,12})\.([0-9a-f]{32})\.([0-9a-f]{64})")


@dataclass(frozen=True)
class Session:
    """The session of this request: its key, and the token that its forms send."""

    key: LiveKey
    token: str


def is_page() -> bool:
    """Tell whether this request is for a page, and not for the API."""
    return (request.blueprint or "").startswith(PAGES)


def find_key(find_live: Callable[[str], LiveKey | None]) -> LiveKey | None:
    """Return the key of this request's session; None for the API, and where there is none."""
    parts = _COOKIE.fullmatch(request.cookies.get(COOKIE, "")) if is_page() else None
    if parts is None:
        return None
    prefix, expires, nonce, signature = parts.groups()
    live = find_live(prefix) if int(expires) > time.time() else None
    if live is None or not hmac.compare_digest(_sign(live, "session", expires, nonce), signature):
        return None
    g.session = Session(live, _sign(live, "csrf", expires, nonce))
    return live


def current() -> Session | None:
    """Return the session of this request; None where no key is needed, or it came in a header."""
    found: Session | None = g.get("session")
    return found


def check_token() -> None:
    """Raise the 403 where a session changes something without its token."""
    session = current()
    if session is None or request.method in SAFE:
        return
    sent = request.headers.get(HEADER) or request.form.get(FIELD, "")
    if not hmac.compare_digest(session.token.encode(), sent.encode()):
        detail = "the form is from another session; load the page again"
        raise RequestError(403, "cross-site-request", detail)


def begin(response: Response, key: LiveKey) -> None:
    """Give a browser the cookie of a new session."""
    expires, nonce = str(int(time.time()) + SECONDS), secrets.token_hex(16)
    value = ".".join((key.key.prefix, expires, nonce, _sign(key, "session", expires, nonce)))
    response.set_cookie(COOKIE, value, max_age=SECONDS, **_attributes())


def end(response: Response) -> None:
    """Take the cookie away from a browser."""
    response.delete_cookie(COOKIE, **_attributes())


def _attributes() -> dict[str, Any]:
    path = request.root_path or "/"
    return {"path": path, "httponly": True, "samesite": "Strict", "secure": request.is_secure}


def _sign(key: LiveKey, purpose: str, *parts: str) -> str:
    message = "\n".join((purpose, key.key.prefix, *parts)).encode()
    return hmac.digest(key.digest.encode(), message, "sha256").hex()
