"""Which scope of an API key a view requires: declared at the view, enforced in `authentication`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from http import HTTPStatus
from typing import Any, Final, TypeVar

from flask import Flask
from flask_openapi3.openapi import OpenAPI

from backend.access.scope import Scope
from backend.api.components import problem_reference

View = TypeVar("View", bound=Callable[..., Any])

HEADER: Final = "X-Api-Key"
PUBLIC: Final = None
"""The scope of a view that needs no key."""

DOCUMENTATION: Final = ("description", "openapi", "swagger")
"""The endpoints and blueprints that serve the OpenAPI document and its page."""

SCHEMES: Final = {
    "bearer": {
        "type": "http",
        "scheme": "bearer",
        "description": "`Authorization: Bearer lk_…`, a key of `lookalike keys create`; its scope "
        "is `read`, `ingest` (which includes `read`) or `admin` (which includes both).",
    },
    "header": {
        "type": "apiKey",
        "in": "header",
        "name": HEADER,
        "description": "The same key for clients that cannot set the other header.",
    },
}
REFUSALS: Final = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.TOO_MANY_REQUESTS)
_DECLARED: Final = "lookalike_scope"


def requires_scope(scope: Scope | None) -> Callable[[View], View]:
    """Declare the scope that a view requires, or that it is PUBLIC."""

    def declare(view: View) -> View:
        setattr(view, _DECLARED, scope)
        return view

    return declare


def required_scope(app: Flask, endpoint: str) -> Scope | None:
    """Return the scope that an endpoint requires; without a declaration it is admin."""
    if endpoint.partition(".")[0] in DOCUMENTATION:
        return PUBLIC
    scope: Scope | None = getattr(app.view_functions[endpoint], _DECLARED, Scope.ADMIN)
    return scope


def describe_scopes(app: OpenAPI, *, locked: bool) -> None:
    """Add the required scopes to the OpenAPI document; unless `locked`, no key is an option."""
    spec = app.api_doc
    spec["components"]["securitySchemes"] = SCHEMES
    for endpoint, _method, operation in operations(app):
        scope = required_scope(app, endpoint)
        if scope is PUBLIC:
            operation["security"] = []
            continue
        ways = [{name: [scope.value]} for name in SCHEMES]
        operation["security"] = ways if locked else [{}, *ways]
        answers = _refused() | operation["responses"]
        operation["responses"] = dict(sorted(answers.items()))


def _refused() -> dict[str, dict[str, Any]]:
    return {str(status.value): problem_reference(status.value) for status in REFUSALS}


def operations(app: OpenAPI) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield each described operation with the endpoint that answers it, and its method."""
    for rule in app.url_map.iter_rules():
        path = app.api_doc["paths"].get(re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule), {})
        for method in rule.methods or ():
            if method.lower() in path:
                yield rule.endpoint, method, path[method.lower()]
