"""The token that forms send back, so that no page of another site can send them.

Where a key is needed, it is the session's. Without keys there is no session: then it is a random
value that the browser also keeps in a cookie, which another site can neither read nor set.
"""

from __future__ import annotations

import hmac
import re
import secrets
from typing import Final

from flask import Response, g, request

from backend.api.browsers import SAFE
from backend.api.problems import RequestError
from backend.web import session

COOKIE: Final = "lookalike_form"
_VALUE: Final = re.compile("[0-9a-f]{64}")


def form_token() -> str:
    """Return the token for the forms of this page."""
    found = session.current()
    if found is not None:
        return found.token
    if "form_token" not in g:
        g.form_token = _kept() or secrets.token_hex(32)
    token: str = g.form_token
    return token


def check_form_token() -> None:
    """Raise the 403 for a form without its token, where there is neither a session nor a key."""
    if request.method in SAFE or session.current() is not None or "key_prefix" in g:
        return  # `session.check_token` has checked a session's; no other site can send a key
    sent = request.form.get(session.FIELD, "")
    if not hmac.compare_digest(_kept().encode() or b"-", sent.encode()):
        raise RequestError(403, "cross-site-request", "the form is an old one; load the page again")


def keep_form_token(response: Response) -> Response:
    """Have the browser keep the token that a page's forms hold."""
    token = g.get("form_token")
    if token and token != _kept():
        response.set_cookie(
            COOKIE,
            token,
            path=request.root_path or "/",
            httponly=True,
            samesite="Strict",
            secure=request.is_secure,
        )
    return response


def _kept() -> str:
    found = request.cookies.get(COOKIE, "")
    return found if _VALUE.fullmatch(found) else ""
