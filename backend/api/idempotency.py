"""`Idempotency-Key`: a write that is sent again is done once, and answered as the first time."""

from __future__ import annotations

import hashlib
import re
from datetime import timedelta
from typing import Any, Final

import structlog
from flask import Flask, Response, current_app, g, request
from flask_openapi3.openapi import OpenAPI
from sqlalchemy.exc import SQLAlchemyError

from backend.access import idempotency
from backend.access.idempotency import Claim, KeptAnswer
from backend.access.scope import Scope
from backend.api import conditional, parameters, scopes
from backend.api.components import problem_reference
from backend.api.context import request_notes, services, this_request
from backend.api.problems import invalid_request
from backend.api.schemas.problem import ProblemFault
from backend.errors import LookalikeError

log = structlog.get_logger(__name__)

HEADER: Final = "Idempotency-Key"
IN_ENVIRON: Final = "HTTP_IDEMPOTENCY_KEY"
REPLAYED: Final = "Idempotency-Replayed"
"""The header of an answer that was given before."""

_KEY: Final = re.compile("[!-~]{1,255}")
_KEPT_HEADERS: Final = ("Content-Type", "Location", "ETag", "Cache-Control")
_UNSAFE: Final = ("POST", "PUT", "PATCH", "DELETE")


def register_idempotency(app: Flask) -> None:
    """Let writes of an app be repeated. Call it after authentication, which finds the key."""
    app.before_request(_begin)
    app.after_request(_end)


def describe_idempotency(app: OpenAPI) -> None:
    """Add the header to each operation in the OpenAPI document that takes it."""
    for endpoint, method, operation in scopes.operations(app):
        if _takes_key(app, endpoint, method):
            reference = {"$ref": f"{parameters.PLACE}IdempotencyKey"}
            operation["parameters"] = [*operation.get("parameters", ()), reference]
            answers: dict[str, Any] = {"409": problem_reference(409)} | operation["responses"]
            operation["responses"] = dict(sorted(answers.items()))


def _takes_key(app: Flask, endpoint: str | None, method: str) -> bool:
    """Tell whether a request may change something; a search by POST, for example, does not."""
    if endpoint is None or method not in _UNSAFE:
        return False
    return scopes.required_scope(app, endpoint) in (Scope.INGEST, Scope.ADMIN)


def _begin() -> Response | None:
    key = this_request().environ.get(IN_ENVIRON)
    if key is None or not _takes_key(current_app, request.endpoint, request.method):
        return None
    if not _KEY.fullmatch(key):
        detail = "must be 1 to 255 printable characters of ASCII, without white space"
        raise invalid_request([ProblemFault(code="invalid-value", detail=detail, parameter=HEADER)])
    client, digest = g.get("key_prefix") or "", _digest()
    keep_for = timedelta(hours=services().settings.idempotency_hours)
    found = services().db.write(
        lambda session: idempotency.claim(session, client, key, request=digest, keep_for=keep_for)
    )
    if isinstance(found, Claim):
        g.claim = found
        return None
    return Response(found.body, found.status, {**found.headers, REPLAYED: "true"})


def _digest() -> str:
    """Return what tells this request from others with the same key."""
    upload = g.get("upload")  # is on the disk already
    body = request.get_data() if upload is None else upload.digest.encode()
    parts = (request.method.encode(), request.full_path.encode(), body)
    return hashlib.sha256(b"\n".join(parts)).hexdigest()


def _end(response: Response) -> Response:
    claimed: Claim | None = vars(request_notes()).pop("claim", None)
    if claimed is None:
        return response
    conditional.tag(response)
    try:
        services().db.write(lambda session: _settle(session, claimed, response))
    except (SQLAlchemyError, LookalikeError) as error:
        log.warning("the answer of a request is not kept", error=repr(error))
    return response


def _settle(session: Any, claimed: Claim, response: Response) -> None:
    """Keep a good answer. After a refusal the request may be tried again, also a corrected one."""
    if response.status_code >= 300:
        idempotency.release(session, claimed)
        return
    headers = {name: response.headers[name] for name in _KEPT_HEADERS if name in response.headers}
    idempotency.keep(
        session, claimed, KeptAnswer(response.status_code, headers, response.get_data())
    )
