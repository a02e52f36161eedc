"""Every code of a problem document, with its status and its meaning: the one list of them.

The OpenAPI document and docs/errors.md show it. A domain error brings its code and its meaning with
it (`backend.errors`); here it gets its status.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from backend import errors
from backend.errors import LookalikeError

STATUS: Final[Mapping[type[LookalikeError], int]] = {
    errors.MissingKey: 401,
    errors.InvalidKey: 401,
    errors.InsufficientScope: 403,
    errors.InvalidKeyRequest: 422,
    errors.IdempotencyKeyReused: 422,
    errors.IdempotencyKeyInUse: 409,
    errors.UnknownProduct: 404,
    errors.UnknownJob: 404,
    errors.UnknownFeed: 404,
    errors.UnknownPlacement: 404,
    errors.UnknownExperiment: 404,
    errors.InvalidPlacement: 422,
    errors.InvalidExperiment: 422,
    errors.UnknownRule: 404,
    errors.InvalidRule: 422,
    errors.UnknownRecommendation: 404,
    errors.FeedExists: 409,
    errors.InvalidFeed: 422,
    errors.ForbiddenFeed: 422,
    errors.InvalidEvent: 422,
    errors.NoExample: 422,
    errors.CursorExpired: 410,
    errors.FeedUnavailable: 503,
    errors.InvalidProduct: 422,
    errors.InvalidFilter: 422,
    errors.NoColour: 422,
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
    errors.WordsUnavailable: 422,
    errors.EmbedderBusy: 503,
    errors.EmbedderFailed: 503,
    errors.IndexLocked: 503,
    errors.IndexUnavailable: 503,
    errors.IndexRefused: 502,
    errors.DatabaseUnavailable: 503,
    errors.DatabaseBusy: 503,
    errors.DatabaseForbidden: 503,
    errors.DatabaseLocked: 503,
    errors.DatabaseFull: 507,
    errors.DiskFull: 507,
    errors.DatabaseReadOnly: 503,
    errors.DatabaseNotMigrated: 503,
    errors.DatabaseDamaged: 503,
    errors.TooManyParameters: 422,
    errors.NulByte: 422,
    errors.BadEncoding: 422,
    errors.NumberTooLarge: 422,
}
"""The nearest base class counts; an error without one here is a fault of the server, 500."""

OF_COMMANDS: Final = (
    errors.UnreadableCatalogue,
    errors.UnusableBackup,
    errors.WouldOverwrite,
    errors.NotTrainable,
    errors.NotEvaluable,
)
"""Errors that no request meets: a command ends with exit code 1, or a job with the code in its
`error`. So they have no status."""

HTTP: Final[Mapping[int, str]] = {
    400: "bad-request",
    404: "not-found",
    405: "method-not-allowed",
    406: "not-acceptable",
    408: "request-timeout",
    411: "length-required",
    412: "precondition-failed",
    413: "request-entity-too-large",
    414: "uri-too-long",
    415: "unsupported-media-type",
    416: "requested-range-not-satisfiable",
    417: "expectation-failed",
    421: "misdirected-request",
    422: "unprocessable-entity",
    428: "precondition-required",
    431: "request-header-fields-too-large",
    501: "not-implemented",
    503: "service-unavailable",
}
"""Status -> code of general HTTP errors; others are `http-error`."""

OTHER_HTTP: Final = "http-error"

_HTTP_MEANING: Final[Mapping[str, str]] = {
    "bad-request": "The line, the headers or the body of the request is malformed.",
    "not-found": "There is nothing at this address.",
    "method-not-allowed": "This address does not take this method; `Allow` lists what it takes.",
    "not-acceptable": "The answer has no form that `Accept` allows.",
    "request-timeout": "The request did not arrive as a whole within the time limit.",
    "length-required": "The request needs a `Content-Length`.",
    "precondition-failed": "A condition in the headers of the request is not met.",
    "request-entity-too-large": "The body has more bytes than allowed.",
    "uri-too-long": "Path and query together have more bytes than allowed.",
    "unsupported-media-type": "The operation does not take this content type or encoding.",
    "requested-range-not-satisfiable": "The `Range` lies outside of what there is.",
    "expectation-failed": "The `Expect` is not `100-continue`.",
    "misdirected-request": "A server without keys was asked under a name that is not its own.",
    "unprocessable-entity": "The request can be read, but not be done.",
    "precondition-required": "The request needs a condition, such as `If-Match`.",
    "request-header-fields-too-large": "The headers are too many, or have too many bytes.",
    "not-implemented": "The server does not know this method.",
    "service-unavailable": "The server cannot answer now; trying again may help.",
    OTHER_HTTP: "Another error of HTTP; the status says which.",
}

_OF_REQUESTS: Final[Mapping[str, tuple[int, str]]] = {
    "malformed-json": (400, "The body is not JSON."),
    "invalid-request": (422, "A parameter or a member of the body is wrong; `errors` lists them."),
    "precondition-failed": (412, "The product is not as `If-Match` or `If-None-Match` demands."),
    "cross-site-request": (403, "A web page of another site may not change anything here."),
    "expired-url": (403, "The time of this `image_url` is over."),
    "invalid-signature": (403, "The `image_url` was changed."),
    "too-many-requests": (429, "The client's rate limit is used up."),
    "too-many-attempts": (429, "This address has sent too many unknown keys."),
    "too-many-images": (503, "All threads for requests with an image are taken."),
    "rate-limits-unavailable": (503, "The counts of the rate limits do not answer."),
    "server-busy": (503, "The server holds as many requests or bytes as it may."),
    "server-stopping": (503, "The server is ending; another process answers soon."),
    "not-ready": (503, "A part that the process needs does not work; `checks` names it."),
    "internal-error": (500, "A fault of the server; its log has the reason."),
}
"""Codes that only `RequestError` has."""

FAULTS: Final[Mapping[str, str]] = {
    "unknown-parameter": "There is no such parameter or member.",
    "unknown-field": "A product has no such field.",
    "invalid-value": "The value is not one that is allowed here.",
    "invalid-cursor": "The cursor is not the `next_cursor` of this list.",
    "unknown-attribute": "No product has this attribute, and such filters are refused.",
    "invalid-filter": "A condition of the filter is wrong.",
    "filter-too-large": "The filter has more values, clauses or bytes than allowed.",
}
"""Codes of the entries of `errors`."""


@dataclass(frozen=True)
class ProblemCode:
    """One code: what a client may rely on. `status` is None for those of OF_COMMANDS."""

    code: str
    status: int | None
    meaning: str


def status_of(kind: type[LookalikeError]) -> int:
    """Return the status of a domain error."""
    return next((STATUS[base] for base in kind.__mro__ if base in STATUS), 500)


def all_codes() -> list[ProblemCode]:
    """Return every code by status, then by name; those without a status come last."""
    found = {kind.code: kind for kind in _kinds(LookalikeError) if "code" in vars(kind)}
    of_errors = [ProblemCode(it, _listed(kind), _meaning(kind)) for it, kind in found.items()]
    of_requests = [ProblemCode(it, *rest) for it, rest in _OF_REQUESTS.items()]
    of_http = [
        ProblemCode(it, status, _HTTP_MEANING[it])
        for status, it in (*HTTP.items(), (400, OTHER_HTTP))
    ]
    by_code = {it.code: it for it in (*of_http, *of_errors, *of_requests)}
    return sorted(by_code.values(), key=lambda it: (it.status is None, it.status or 0, it.code))


def _listed(kind: type[LookalikeError]) -> int | None:
    return None if issubclass(kind, OF_COMMANDS) else status_of(kind)


def _kinds(kind: type[LookalikeError]) -> Iterator[type[LookalikeError]]:
    """Yield the errors of `backend.errors`, those of commands too: a job may end with one."""
    for child in kind.__subclasses__():
        if child.__module__ == errors.__name__:
            yield child
        yield from _kinds(child)


def _meaning(kind: type[LookalikeError]) -> str:
    return (kind.__doc__ or "").splitlines()[0]
