"""Calling a Qdrant server: when to try again, and what its errors mean."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from enum import Enum, auto
from typing import Final, TypeVar

import grpc  # type: ignore[import-untyped]
from qdrant_client.common.client_exceptions import QdrantException, ResourceExhaustedResponse
from qdrant_client.http.exceptions import ApiException, UnexpectedResponse

from backend.errors import (
    ConfigurationError,
    IndexGone,
    IndexRefused,
    IndexUnavailable,
    InvalidFilter,
    LookalikeError,
)

T = TypeVar("T")

PAUSES: Final = (0.1, 0.4)
"""Seconds before each retry, plus or minus a half. Few, because a shopper may be waiting; the queue
retries failed writes later."""


class _Meaning(Enum):
    AWAY = auto()  # the call did not begin: try again
    GONE = auto()
    DENIED = auto()
    REFUSED = auto()
    FAILED = auto()  # overloaded, or the call was done: do not try again at once


_GRPC: Final = {
    grpc.StatusCode.UNAVAILABLE: _Meaning.AWAY,
    grpc.StatusCode.RESOURCE_EXHAUSTED: _Meaning.AWAY,
    grpc.StatusCode.ABORTED: _Meaning.AWAY,
    grpc.StatusCode.NOT_FOUND: _Meaning.GONE,
    grpc.StatusCode.UNAUTHENTICATED: _Meaning.DENIED,
    grpc.StatusCode.PERMISSION_DENIED: _Meaning.DENIED,
    grpc.StatusCode.INVALID_ARGUMENT: _Meaning.REFUSED,
    grpc.StatusCode.FAILED_PRECONDITION: _Meaning.REFUSED,
    grpc.StatusCode.ALREADY_EXISTS: _Meaning.REFUSED,
    grpc.StatusCode.UNIMPLEMENTED: _Meaning.REFUSED,
}
_HTTP: Final = {
    429: _Meaning.AWAY,
    502: _Meaning.AWAY,
    503: _Meaning.AWAY,
    404: _Meaning.GONE,
    401: _Meaning.DENIED,
    403: _Meaning.DENIED,
    400: _Meaning.REFUSED,
    409: _Meaning.REFUSED,
    422: _Meaning.REFUSED,
}


def attempt(call: Callable[[], T], *, collection: str) -> T:
    """Return a call's result, trying again while the server is away for a moment.

    Only for calls that may run twice. All of ours may, because writes are conditional on their
    claim.
    """
    pauses = iter(PAUSES)
    while True:
        try:
            return call()
        except (grpc.RpcError, ApiException, QdrantException, ValueError) as error:
            meaning, details = _read(error)
            pause = next(pauses, None) if meaning is _Meaning.AWAY else None
            if pause is None:
                raise _translated(meaning, details, collection) from error
        time.sleep(pause * random.uniform(0.5, 1.5))


def _read(error: Exception) -> tuple[_Meaning, str]:
    """Return the meaning and the message of a server's error; raise any other error again."""
    if isinstance(error, grpc.Call):
        return _GRPC.get(error.code(), _Meaning.FAILED), error.details() or error.code().name
    if isinstance(error, UnexpectedResponse):
        return _HTTP.get(error.status_code or 0, _Meaning.FAILED), str(error)
    if isinstance(error, ValueError):  # the client's local mode has no errors of its own
        if str(error).startswith("Collection ") and str(error).endswith(" not found"):
            return _Meaning.GONE, str(error)
        raise error
    away = isinstance(error, ResourceExhaustedResponse)
    return (_Meaning.AWAY if away else _Meaning.FAILED), str(error) or type(error).__name__


def _translated(meaning: _Meaning, details: str, collection: str) -> LookalikeError:
    if meaning is _Meaning.GONE:
        return IndexGone(f"the collection {collection!r} is gone", collection=collection)
    if meaning is _Meaning.DENIED:
        return ConfigurationError(f"the Qdrant server denies access: {details}")
    if meaning is _Meaning.REFUSED and "Index required" in details:  # its strict mode
        return InvalidFilter(f"the Qdrant server filters only by indexed fields: {details}")
    if meaning is _Meaning.REFUSED:
        return IndexRefused(f"the Qdrant server refuses the request: {details}")
    return IndexUnavailable(f"the Qdrant server does not answer: {details}")
