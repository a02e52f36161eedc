"""Errors become problem documents (RFC 9457): the one table from error to status."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final

import structlog
from flask import Flask, Response, g, json, request
from sqlalchemy.exc import OperationalError
from werkzeug.exceptions import (
    HTTPException,
    MethodNotAllowed,
    NotFound,
    RequestEntityTooLarge,
)

from backend import errors
from backend.api.schemas import Json
from backend.api.schemas.problem import ProblemFault
from backend.errors import LookalikeError

log = structlog.get_logger(__name__)

MEDIA_TYPE: Final = "application/problem+json"

STATUS: Final[Mapping[type[LookalikeError], int]] = {
    errors.MissingKey: 401,
    errors.InvalidKey: 401,
    errors.InsufficientScope: 403,
    errors.InvalidKeyRequest: 422,
    errors.UnknownProduct: 404,
    errors.UnknownJob: 404,
    errors.InvalidProduct: 422,
    errors.InvalidFilter: 422,
    errors.InvalidVector: 422,  # only a shopper's own image can lead to one
    errors.ImageError: 422,
    errors.NoImage: 404,
    errors.NotAnImage: 415,
    errors.ImageTooLarge: 413,
    errors.ForbiddenImage: 403,
    errors.ImageUnavailable: 503,
    errors.DecoderBusy: 503,
    errors.DecoderUnavailable: 503,
    errors.NotSearchable: 409,
    errors.UnknownGeneration: 404,
    errors.InvalidReindex: 422,
    errors.ReindexRunning: 409,
    errors.WrongState: 409,
    errors.PromotionRefused: 409,
    errors.NoGeneration: 503,
    errors.ModelMismatch: 503,
    errors.WeightsUnavailable: 503,
    errors.EmbedderBusy: 503,
    errors.EmbedderFailed: 503,
    errors.IndexLocked: 503,
    errors.IndexUnavailable: 503,
}
"""The nearest base class counts; an error without one here is a fault of the server, 500."""

RETRY_SECONDS: Final = {409: 2, 503: 5}
"""Status -> Retry-After, where a retry may help."""

CHALLENGE: Final[Mapping[type[LookalikeError], str]] = {
    errors.MissingKey: 'Bearer realm="lookalike"',
    errors.InvalidKey: 'Bearer realm="lookalike", error="invalid_token"',
    errors.InsufficientScope: 'Bearer realm="lookalike", error="insufficient_scope"',
}
"""What `WWW-Authenticate` says (RFC 6750) to a client that was refused."""


class RequestError(LookalikeError):
    """A request cannot be answered; `members` extend the problem document that says why."""

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        *,
        title: str | None = None,
        faults: Sequence[ProblemFault] = (),
        headers: Mapping[str, str] | None = None,
        **members: Any,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.title = title or HTTPStatus(status).phrase
        self.faults = faults
        self.headers = dict(headers or {})
        self.members = members

    def document(self) -> Json:
        """Return the problem as JSON, without the request's id."""
        found: Json = {
            "type": f"urn:lookalike:problem:{self.code}",
            "title": self.title,
            "status": self.status,
            "detail": self.message,
            "code": self.code,
            **self.members,
        }
        if self.faults:
            found["errors"] = [fault.as_json() for fault in self.faults]
        return found


def invalid_request(faults: Sequence[ProblemFault]) -> RequestError:
    """Return the 422 that lists everything wrong with a request."""
    places = (fault.parameter or fault.pointer or "body" for fault in faults)
    detail = "; ".join(
        f"{place}: {fault.detail}" for place, fault in zip(places, faults, strict=True)
    )
    return RequestError(422, "invalid-request", detail, faults=faults)


def to_request_error(error: LookalikeError) -> RequestError:
    """Translate a domain error; no other code gives it a status."""
    if isinstance(error, RequestError):
        return error
    status = next((STATUS[kind] for kind in type(error).__mro__ if kind in STATUS), 500)
    extra = ("state", "reason") if isinstance(error, errors.NotSearchable) else ()
    headers = {}
    if status in RETRY_SECONDS and error.context.get("state") != "quarantined":
        headers["Retry-After"] = str(RETRY_SECONDS[status])
    if type(error) in CHALLENGE:
        headers["WWW-Authenticate"] = CHALLENGE[type(error)]
    return RequestError(
        status,
        error.code,
        error.message,
        title=(type(error).__doc__ or "").splitlines()[0].partition(";")[0].rstrip("."),
        faults=[_fault(item) for item in error.context.get("errors", ())],
        headers=headers,
        **{name: error.context.get(name) for name in extra},
    )


def pointer(*parts: str | int) -> str:
    """Return a JSON pointer (RFC 6901)."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in parts)


def _fault(item: Mapping[str, Any]) -> ProblemFault:
    allowed = item.get("allowed")
    return ProblemFault(
        code="unknown-field" if allowed else "invalid-value",
        detail=item["reason"] + (f"; allowed: {', '.join(allowed)}" if allowed else ""),
        pointer=pointer(item["field"]),
    )


# --- error handlers --------------------------------------------------------------------------


def register_error_handlers(app: Flask) -> None:
    """Answer every error of an app with a problem document."""
    app.register_error_handler(LookalikeError, respond)
    app.register_error_handler(HTTPException, _respond_http)
    app.register_error_handler(OperationalError, _respond_database)
    app.register_error_handler(Exception, _respond_unexpected)


def respond(error: LookalikeError) -> Response:
    """Return the problem document of an error."""
    problem = to_request_error(error)
    if problem.status >= 500:
        log.warning("problem", code=problem.code, detail=problem.message)
    document = problem.document() | {"request_id": g.get("request_id")}
    response = Response(json.dumps(document), problem.status, mimetype=MEDIA_TYPE)
    response.headers.update(problem.headers)
    return response


def _respond_http(error: HTTPException) -> Response | HTTPException:
    """Translate werkzeug's own errors; what is below 400 is a redirect, not an error."""
    status = error.code or 500
    if status < 400:
        return error
    headers = {name: value for name, value in error.get_headers() if name == "Allow"}
    phrase = HTTPStatus(status).phrase
    code = phrase.lower().replace(" ", "-")
    return respond(RequestError(status, code, _detail(error) or phrase, headers=headers))


def _detail(error: HTTPException) -> str | None:
    """Say what is allowed; werkzeug only says what is not."""
    if isinstance(error, NotFound):
        return "there is nothing at this address; /docs lists what there is"
    if isinstance(error, MethodNotAllowed):
        return f"allowed here: {', '.join(sorted(error.valid_methods or ()))}"
    if isinstance(error, RequestEntityTooLarge):
        return f"the body may have at most {request.max_content_length:,} bytes"
    return error.description


def _respond_database(error: OperationalError) -> Response:
    log.error("database failed", error=str(error.orig))
    headers = {"Retry-After": str(RETRY_SECONDS[503])}
    detail = "the database does not answer; a retry may help"
    return respond(RequestError(503, "database-unavailable", detail, headers=headers))


def _respond_unexpected(error: Exception) -> Response:
    log.exception("request failed", error=repr(error))
    detail = "this is a fault of the server; its log has the reason"
    return respond(RequestError(500, "internal-error", detail))
