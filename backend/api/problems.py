"""Errors become problem documents (RFC 9457): the one table from error to status."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final

import structlog
from flask import Flask, Response, current_app, g, has_request_context, json, request
from sqlalchemy.exc import SQLAlchemyError
from werkzeug.exceptions import (
    HTTPException,
    MethodNotAllowed,
    NotFound,
    RequestEntityTooLarge,
)

from backend import errors, near_names
from backend.api import problem_codes
from backend.api.context import this_request
from backend.api.schemas import Json
from backend.api.schemas.problem import ProblemFault
from backend.database.failures import disk_full, meaning_of, why
from backend.errors import LookalikeError
from backend.logs import Repeats

log = structlog.get_logger(__name__)
_repeats = Repeats(log)

MEDIA_TYPE: Final = "application/problem+json"

RETRY_SECONDS: Final = {409: 2, 503: 5}
"""Status -> Retry-After, where a retry may help."""

MOST_FAULTS: Final = 20
"""Faults that one problem document lists; `errors_left_out` counts the others."""

_LONGEST: Final = 300  # characters of one fault's detail; what it names may be the client's
_LONGEST_DETAIL: Final = 4000
_LONGEST_PLACE: Final = 200
PREFIX: Final = "/v1/"
_PLACE: Final = re.compile(r"<(?:[^<>]+:)?(\w+)>")
"""A place in a rule of werkzeug, such as `<generation:id>`."""

_ALLOWED: Final = "; allowed: "
"""What separates a fault's detail from the list of what is allowed."""

CHALLENGE: Final[Mapping[type[LookalikeError], str]] = {
    errors.MissingKey: 'Bearer realm="lookalike"',
    errors.InvalidKey: 'Bearer realm="lookalike", error="invalid_token"',
    errors.InsufficientScope: 'Bearer realm="lookalike", error="insufficient_scope"',
}
"""What `WWW-Authenticate` says (RFC 6750) to a client that was refused."""


MEMBERS: Final[Mapping[type[LookalikeError], str]] = {
    errors.InvalidBox: "box",
    errors.NoColour: "colour",
    errors.WordsUnavailable: "text",
}
"""The member of a request that an error is about."""


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

    def document(self, named: set[str] | None = None) -> Json:
        """Return the problem as JSON, without the request's id.

        Problems of one answer share `named`: what it holds as allowed is not named again.
        """
        found: Json = {
            "type": f"urn:lookalike:problem:{self.code}",
            "title": self.title,
            "status": self.status,
            "detail": shorten(self.message, _LONGEST_DETAIL),
            "code": self.code,
            **self.members,
        }
        if self.faults:
            found["errors"] = [fault.as_json() for fault in shown_faults(self.faults, named)]
        if len(self.faults) > MOST_FAULTS:
            found["errors_left_out"] = len(self.faults) - MOST_FAULTS
        return found


def invalid_request(faults: Sequence[ProblemFault]) -> RequestError:
    """Return the 422 that lists what is wrong with a request."""
    shown = [
        f"{fault.parameter or fault.pointer or 'body'}: {fault.detail}"
        for fault in shown_faults(faults)
    ]
    if len(faults) > MOST_FAULTS:
        shown.append(f"and {len(faults) - MOST_FAULTS} more")
    return RequestError(422, "invalid-request", "; ".join(shown), faults=faults)


def fault_of(name: str, detail: str, *, code: str = "invalid-value") -> ProblemFault:
    """Return what is wrong with a member that stands in the query string, a form or a JSON body."""
    if request.is_json and name not in request.args:
        return ProblemFault(code=code, detail=detail, pointer=pointer(name))
    return ProblemFault(code=code, detail=detail, parameter=name)


def shown_faults(
    faults: Sequence[ProblemFault], named: set[str] | None = None
) -> list[ProblemFault]:
    """Return the first MOST_FAULTS faults; what is allowed is named by the first that does so."""
    seen = set() if named is None else named
    return [_shown(fault, seen) for fault in faults[:MOST_FAULTS]]


def _shown(fault: ProblemFault, named: set[str]) -> ProblemFault:
    said, separator, allowed = fault.detail.rpartition(_ALLOWED)
    if not separator:
        said, allowed = fault.detail, ""
    is_new = bool(separator) and allowed not in named
    named.add(allowed)
    is_named = not separator or fault.code == "unknown-field"  # its reason names the nearest
    near = "" if is_named else near_names.hint(_last_part(fault), allowed.split(", "))
    return ProblemFault(
        code=fault.code,
        detail=shorten(said, _LONGEST) + near + (separator + allowed if is_new else ""),
        parameter=_place(fault.parameter),
        pointer=_place(fault.pointer),
    )


def _last_part(fault: ProblemFault) -> str:
    """Return the name that a fault is about, which may stand within others in its pointer."""
    return fault.parameter or (fault.pointer or "").rpartition("/")[2]


def _place(name: str | None) -> str | None:
    return None if name is None else shorten(name, _LONGEST_PLACE)


def shorten(text: str, most: int) -> str:
    """Return a text, its end replaced by three dots if it has more characters than `most`."""
    return text if len(text) <= most else text[: most - 3] + "..."


def to_request_error(error: LookalikeError) -> RequestError:
    """Translate a domain error; no other code gives it a status."""
    if isinstance(error, RequestError):
        return error
    status = problem_codes.status_of(type(error))
    extra = ("state", "reason") if isinstance(error, errors.NotSearchable) else ()
    headers = {}
    is_final = isinstance(error, errors.FeedExists)
    is_final = is_final or error.context.get("state") == "quarantined"
    if status in RETRY_SECONDS and not is_final:
        headers["Retry-After"] = str(RETRY_SECONDS[status])
    if type(error) in CHALLENGE:
        headers["WWW-Authenticate"] = CHALLENGE[type(error)]
    return RequestError(
        status,
        error.code,
        error.message,
        title=(type(error).__doc__ or "").splitlines()[0].partition(";")[0].rstrip("."),
        faults=_faults(error),
        headers=headers,
        **{name: error.context.get(name) for name in extra},
    )


def pointer(*parts: str | int) -> str:
    """Return a JSON pointer (RFC 6901)."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in parts)


def _faults(error: LookalikeError) -> list[ProblemFault]:
    found = [_fault(item) for item in error.context.get("errors", ())]
    member = MEMBERS.get(type(error))
    if member is not None and has_request_context():
        found.append(fault_of(member, error.message))
    return found


def _fault(item: Mapping[str, Any]) -> ProblemFault:
    allowed = item.get("allowed")
    if "parameter" in item:  # such as the name in the path
        return ProblemFault(
            code="invalid-value", detail=item["reason"], parameter=item["parameter"]
        )
    return ProblemFault(
        code="unknown-field" if allowed else "invalid-value",
        detail=item["reason"] + (_ALLOWED + ", ".join(allowed) if allowed else ""),
        pointer=pointer(item["field"]),
    )


# --- error handlers --------------------------------------------------------------------------


def register_error_handlers(app: Flask) -> None:
    """Answer every error of an app with a problem document."""
    app.register_error_handler(LookalikeError, respond)
    app.register_error_handler(HTTPException, _respond_http)
    app.register_error_handler(SQLAlchemyError, _respond_database)
    app.register_error_handler(UnicodeEncodeError, _respond_database)
    app.register_error_handler(OverflowError, _respond_database)
    app.register_error_handler(OSError, _respond_file)
    app.register_error_handler(Exception, _respond_unexpected)


def respond(error: LookalikeError) -> Response:
    """Return the problem document of an error."""
    problem = to_request_error(error)
    if problem.status >= 500:
        log.warning("problem", code=problem.code, detail=problem.message)
    return _answer(problem)


def _answer(problem: RequestError) -> Response:
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
    code = problem_codes.HTTP.get(status, problem_codes.OTHER_HTTP)
    detail = _detail(error) or HTTPStatus(status).phrase
    return respond(RequestError(status, code, detail, headers=headers))


def refuse_empty_part() -> Response | None:
    """Answer 404 where a name is missing between two slashes of an address of the API.

    werkzeug redirects `//` to `/`, and so to another resource: the product `image`.
    """
    path = this_request().path
    if "//" not in path or not path.startswith(PREFIX):
        return None
    adapter = current_app.create_url_adapter(request)
    try:
        rule, _ = adapter.match(path.replace("//", "/x/"), return_rule=True)  # type: ignore[union-attr]
    except HTTPException:
        return None
    place = _PLACE.sub(r"{\1}", rule.rule)
    detail = f"a part of this path is empty: it would be {place}"
    return respond(RequestError(404, problem_codes.HTTP[404], detail))


def _detail(error: HTTPException) -> str | None:
    """Say what is allowed; werkzeug only says what is not."""
    if isinstance(error, NotFound):
        near = _nearest_path()
        hint = f"; the nearest is {near}" if near else ""
        return f"there is nothing at this address{hint}; /docs lists what there is"
    if isinstance(error, MethodNotAllowed):
        return f"allowed here: {', '.join(sorted(error.valid_methods or ()))}"
    if isinstance(error, RequestEntityTooLarge):
        return f"the body may have at most {request.max_content_length:,} bytes"
    return error.description


def _nearest_path() -> str | None:
    """Return the path of the API that is nearest to that of this request, None if none is near."""
    if not request.path.startswith(PREFIX):
        return None
    known = {_PLACE.sub(r"{\1}", rule.rule) for rule in current_app.url_map.iter_rules()}
    return near_names.nearest_path(request.path, {it for it in known if it.startswith(PREFIX)})


def _respond_database(error: SQLAlchemyError | UnicodeEncodeError | OverflowError) -> Response:
    """Answer with what an error of the database means; what it does not tell is our fault."""
    meaning = meaning_of(error)
    if meaning is None:
        return _respond_unexpected(error)
    return _respond_host(meaning, error)


def _respond_file(error: OSError) -> Response:
    """Answer when a file cannot be written, because the disk is full or for another reason."""
    meaning = disk_full(error)
    return _respond_unexpected(error) if meaning is None else _respond_host(meaning, error)


def _respond_host(meaning: LookalikeError, error: Exception) -> Response:
    """Answer with what the host lacks, as it says it; a repeated error is logged once a minute."""
    said = why(error)
    _repeats.log("the host failed", error=said, code=meaning.code)
    problem = to_request_error(meaning)
    if problem.status == HTTPStatus.INSUFFICIENT_STORAGE:
        problem.message = f"{problem.message.rstrip('.')}: {said}"
    return _answer(problem)


def _respond_unexpected(error: Exception) -> Response:
    log.exception("request failed", error=repr(error))
    detail = "this is a fault of the server; its log has the reason"
    return respond(RequestError(500, "internal-error", detail))
