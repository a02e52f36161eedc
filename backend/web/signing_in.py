"""The form that takes an API key, where keys are needed, and begins the session of a browser."""

from __future__ import annotations

from typing import cast

from flask import current_app, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as BaseResponse

from backend.access.scope import Scope
from backend.api import authentication
from backend.api.authentication import Authenticator
from backend.api.scopes import PUBLIC, requires_scope
from backend.errors import InvalidKey
from backend.web import pages, session

blueprint = pages.blueprint("signing_in")

NAME = "web_signing_in"


@blueprint.get("/sign-in")
@requires_scope(PUBLIC)
def show_form() -> str | BaseResponse:
    """Show the form; where no key is needed, lead on."""
    if authentication.AUTHENTICATOR not in current_app.extensions:
        return redirect(_target(), 303)
    return _form()


@blueprint.post("/sign-in")
@requires_scope(PUBLIC)
def sign_in() -> tuple[str, int] | BaseResponse:
    """Begin a session with the key that was typed in."""
    found = current_app.extensions.get(authentication.AUTHENTICATOR)
    if found is None:
        return redirect(_target(), 303)
    needed = _needed_scope()
    try:
        key = cast("Authenticator", found).find(request.form.get("key", "").strip())
    except InvalidKey:
        return _form("This key is not valid here. It may have been revoked, or have expired."), 401
    if not key.key.scope.includes(needed):
        reason = f"This page needs a key with the scope {needed}; the scope of this one is "
        return _form(f"{reason}{key.key.scope}."), 403
    answer = redirect(_target(), 303)
    session.begin(answer, key)
    return answer


@blueprint.post("/sign-out")
@requires_scope(Scope.READ)
def sign_out() -> BaseResponse:
    """End the session of this browser."""
    answer = redirect(url_for(f"{NAME}.show_form"), 303)
    session.end(answer)
    return answer


def _form(reason: str | None = None) -> str:
    return render_template("sign_in.html", reason=reason, next=_next(), scope=_needed_scope().value)


def _needed_scope() -> Scope:
    asked = request.values.get("scope")
    return Scope.ADMIN if asked == Scope.ADMIN else Scope.READ


def _next() -> str:
    """Return the path to go on to: one of this server, whatever the address says."""
    path = request.values.get("next", "/")
    is_ours = path.startswith("/") and not path.startswith(("//", "/\\"))
    return path if is_ours and path.isprintable() else "/"


def _target() -> str:
    return f"{request.root_path}{_next()}"
