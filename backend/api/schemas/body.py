"""JSON bodies: `read_body` validates one against its model and explains what is wrong with it."""

from __future__ import annotations

import json
import re
from typing import Any, Final, Never, TypeVar

from flask import request
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from backend.api.context import filterable, services
from backend.api.problems import RequestError, invalid_request, pointer
from backend.api.schemas import Json
from backend.api.schemas.document import EITHER, BodyLimits, RequestBody
from backend.api.schemas.problem import ProblemFault
from backend.validation import reason_of, unknown_field

Body = TypeVar("Body", bound=RequestBody)

MOST_LEVELS: Final = 64
"""Levels of JSON. No body needs ten; what is written as JSON again must not meet Python's limit."""


MOST_KEPT: Final = 8192
"""Bytes of a body that can be read again within the request: what a kept answer says of it."""

MOST_DIGITS: Final = 1_000
"""Digits of an integer. No member takes more than 19."""

_BRANCH: Final = re.compile(r"function-\w+\[.*\]|[A-Z]\w+Body")
"""What pydantic calls a branch of a union: no name that a client has sent."""


def read_body(model: type[Body]) -> Body:
    """Return this request's JSON body, checked; raises RequestError with everything wrong in it."""
    return validate(model, json_body())


def read_body_as_sent(model: type[Body]) -> tuple[Body, Json]:
    """Return this request's JSON body, checked, and as it was sent; raises as `read_body` does."""
    given = json_body()
    return validate(model, given), given


def check_body(model: type[Body]) -> Json:
    """Return this request's JSON body as it was sent, without nulls; raises as `read_body` does."""
    given = json_body()
    validate(model, given)
    return {name: value for name, value in given.items() if value is not None}


def read_optional_body(model: type[Body]) -> Body:
    """Return this request's JSON body, checked; one that is absent counts as `{}`.

    It has to be declared as JSON also then: a page of another site can send a POST without a body,
    but no content type of JSON.
    """
    _check_type()
    return validate(model, json_body() if request.get_data() else {})


def validate(model: type[Body], given: Json) -> Body:
    """Return what is sent in another way than as JSON, checked; raises as `read_body` does."""
    limits = BodyLimits(filterable(), max_batch=services().settings.max_batch)
    try:
        return model.model_validate(given, context=limits)
    except ValidationError as error:
        faults = [fault for each in error.errors() for fault in faults_of(each, model)]
        raise invalid_request(list(dict.fromkeys(faults))) from None


def faults_of(error: ErrorDetails, model: type[RequestBody]) -> list[ProblemFault]:
    """Return one fault that points at a member of the body; a filter brings its own faults."""
    if faults := error.get("ctx", {}).get("faults"):
        return list(faults)
    if error["type"] == EITHER:
        return [ProblemFault(code="invalid-value", detail=reason_of(error), pointer="")]
    if (unknown := unknown_field(error)) is not None:
        return [_unknown_member(unknown, error, model)]
    member, *inner = error["loc"]
    path = [
        f"[{part}]" if isinstance(part, int) else part
        for part in inner
        if isinstance(part, int) or not _BRANCH.fullmatch(part)
    ]
    detail = " ".join([*path, reason_of(error)])
    return [ProblemFault(code="invalid-value", detail=detail, pointer=pointer(member))]


def _unknown_member(name: str, error: ErrorDetails, model: type[RequestBody]) -> ProblemFault:
    """Return the fault of a member that there is not, in the body or within one of its members."""
    within = error["loc"][1:]
    if within:
        detail = f"holds {str(within[-1])!r}, and there is no such member in it"
    else:
        detail = f"there is no such member; allowed: {', '.join(model.model_fields)}"
    return ProblemFault(code="unknown-parameter", detail=detail, pointer=pointer(name))


def json_body() -> Json:
    """Return this request's body, a JSON object.

    Ends the request with 415 without a JSON content type, 400 for what is not JSON, and 422 for
    JSON that is no object.
    """
    _check_type()
    try:
        is_short = (request.content_length or 0) <= MOST_KEPT
        body = parse_json(request.get_data(cache=is_short))
    except ValueError as error:
        raise RequestError(400, "malformed-json", f"the body is not JSON: {error}") from None
    if not isinstance(body, dict):
        fault = ProblemFault(code="invalid-value", detail="must be a JSON object", pointer="")
        raise invalid_request([fault])
    return body


def check_coding() -> None:
    """End the request with 415 if its body is packed, as RFC 9110 (15.5.16) has it."""
    coding = request.environ.get("HTTP_CONTENT_ENCODING", "identity").strip()
    if coding.lower() not in ("", "identity"):
        detail = f"the body must be sent without Content-Encoding; got {coding[:100]}"
        headers = {"Accept-Encoding": "identity"}
        raise RequestError(415, "unsupported-media-type", detail, headers=headers)


def _check_type() -> None:
    check_coding()
    if not request.is_json:
        got = request.mimetype or "nothing"
        detail = f"the content type must be application/json; got {got}"
        raise RequestError(415, "unsupported-media-type", detail)


def parse_json(text: str | bytes) -> Any:
    """Parse JSON as RFC 8259 has it, without Python's NaN; raises ValueError."""
    too_deep = f"it is nested more than {MOST_LEVELS} levels deep"
    try:
        found = json.loads(text, parse_constant=_refuse_constant, parse_int=_read_integer)
    except RecursionError:
        raise ValueError(too_deep) from None
    if _is_deeper(found, MOST_LEVELS):
        raise ValueError(too_deep)
    return found


def _is_deeper(value: Any, levels: int) -> bool:
    """Tell whether objects and lists are nested beyond a number of levels."""
    within = [value] if isinstance(value, dict | list) else []
    for _ in range(levels):
        within = [
            child
            for each in within
            for child in (each.values() if isinstance(each, dict) else each)
            if isinstance(child, dict | list)
        ]
    return bool(within)


def _read_integer(digits: str) -> int:
    if len(digits) > MOST_DIGITS:
        raise ValueError(f"a number has more than {MOST_DIGITS} digits")
    return int(digits)


def _refuse_constant(name: str) -> Never:
    raise ValueError(f"{name} is no JSON value")
