"""What all pages share: their blueprints, headers, errors, and what templates can use."""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

from flask import Blueprint, Flask, Response, g, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as BaseResponse

import backend
from backend.access.scope import Scope
from backend.api import manual, problems
from backend.api.browsers import refuse_foreign_pages
from backend.api.conditional import compress
from backend.embedders import short_name
from backend.errors import InsufficientScope, InvalidKey, LookalikeError, MissingKey
from backend.web import session
from backend.web.static_files import url_of

POLICY: Final = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' blob:",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)
"""Pages load from this server alone; `blob:` is an image that a shopper has chosen."""

HEADERS: Final = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}


@dataclass(frozen=True)
class NavigationLink:
    """A page that the navigation leads to, if the request may see it."""

    text: str
    endpoint: str
    scope: Scope = Scope.READ


PLACES: Final = (
    NavigationLink("Gallery", "web_gallery.show_grid"),
    NavigationLink("Operator", "web_admin.show_overview", Scope.ADMIN),
)

COMPRESSED: Final = ("text/html", "text/css", "text/javascript", "image/svg+xml")


def blueprint(name: str, *, url_prefix: str | None = None) -> Blueprint:
    """Return the blueprint of some pages: errors are pages too, and forms need their token."""
    made = Blueprint(
        session.PAGES + name, __name__, url_prefix=url_prefix, template_folder="templates"
    )
    made.before_request(refuse_foreign_pages)
    made.before_request(session.check_token)
    made.after_request(_finish)
    made.register_error_handler(LookalikeError, _show_error)
    made.register_error_handler(MissingKey, _ask_for_key)
    made.register_error_handler(InvalidKey, _ask_for_key)
    made.register_error_handler(InsufficientScope, _ask_for_key)
    return made


def prepare_templates(app: Flask, *, locked: bool) -> None:
    """Let templates of an app use what all pages need."""
    app.jinja_options = {**app.jinja_options, "trim_blocks": True, "lstrip_blocks": True}
    app.jinja_env.filters["short_name"] = short_name
    app.jinja_env.globals.update(
        asset=url_of,
        may=may,
        navigation=navigation,
        csrf_token=csrf_token,
        signed_in=session.current,
        needs_keys=locked,
        has_manual=manual.is_built,
        version=backend.__version__,
    )


def navigation() -> list[dict[str, Any]]:
    """Return the places that this request may go to."""
    shown = [] if request.blueprint == "web_signing_in" else [it for it in PLACES if may(it.scope)]
    return [
        {
            "text": place.text,
            "href": url_for(place.endpoint),
            "is_current": request.blueprint == place.endpoint.partition(".")[0],
        }
        for place in shown
    ]


def may(scope: str) -> bool:
    """Tell whether this request may do what needs a scope; without keys it may do everything."""
    held: Scope = g.get("scope", Scope.ADMIN)
    return held.includes(Scope(scope))


def csrf_token() -> str:
    """Return the token that forms of this page send; empty where no session is needed."""
    found = session.current()
    return found.token if found else ""


def wants_page() -> bool:
    """Tell whether the client shows what it gets to a person, and is no script."""
    return request.accept_mimetypes.best_match(["application/json", "text/html"]) == "text/html"


def _finish(response: Response) -> Response:
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    if response.mimetype == "text/html":
        response.headers.setdefault("Cache-Control", "private, no-cache")
    return compress(response) if response.mimetype in COMPRESSED else response


def _ask_for_key(error: LookalikeError) -> BaseResponse:
    """Lead a person to the form for a key; tell a script what is missing."""
    if not wants_page() or request.method not in ("GET", "HEAD"):
        return problems.respond(error)
    path = request.full_path.rstrip("?")
    needed: dict[str, Any] = {"scope": "admin"} if isinstance(error, InsufficientScope) else {}
    return redirect(url_for("web_signing_in.show_form", next=path, **needed), 303)


def _show_error(error: LookalikeError) -> Any:
    """Answer with a page that says what is wrong, or with the problem for a script."""
    if not wants_page():
        return problems.respond(error)
    answer = problems.respond(error)
    title = HTTPStatus(answer.status_code).phrase
    page = render_template("error.html", title=title, status=answer.status_code, error=error)
    answer.set_data(page)
    answer.mimetype = "text/html"
    return answer
