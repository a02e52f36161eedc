"""What the errors of a Qdrant server mean."""

from __future__ import annotations

from enum import Enum, auto
from typing import Final

import grpc  # type: ignore[import-untyped]
from qdrant_client.common.client_exceptions import QdrantException, ResourceExhaustedResponse
from qdrant_client.http.exceptions import (
    ApiException,
    ResponseHandlingException,
    UnexpectedResponse,
)

from backend.errors import (
    ConfigurationError,
    IndexDegraded,
    IndexGone,
    IndexLimited,
    IndexRefused,
    IndexUnavailable,
    InvalidFilter,
    LookalikeError,
)

ERRORS: Final = (grpc.RpcError, ApiException, QdrantException, ValueError)
"""What a call of the client raises."""


class Meaning(Enum):
    """What a failed call says about the server."""

    AWAY = auto()  # nobody listens, and the call did not begin: try again
    SILENT = auto()  # no answer in time; the call may have been done
    BUSY = auto()  # it answers, and the call did not begin: try again
    DEGRADED = auto()  # it answers, but too few replicas do
    GONE = auto()
    DENIED = auto()
    REFUSED = auto()
    FAILED = auto()  # it answers, and the call may have been done


UNANSWERED: Final = (Meaning.AWAY, Meaning.SILENT)
"""The server gave no answer, so another node may."""

AGAIN: Final = (Meaning.AWAY, Meaning.BUSY)
"""The call did not begin, so the same node is asked again."""

_GRPC: Final = {
    grpc.StatusCode.UNAVAILABLE: Meaning.AWAY,
    grpc.StatusCode.DEADLINE_EXCEEDED: Meaning.SILENT,
    grpc.StatusCode.CANCELLED: Meaning.SILENT,
    grpc.StatusCode.RESOURCE_EXHAUSTED: Meaning.BUSY,
    grpc.StatusCode.ABORTED: Meaning.BUSY,
    grpc.StatusCode.NOT_FOUND: Meaning.GONE,
    grpc.StatusCode.UNAUTHENTICATED: Meaning.DENIED,
    grpc.StatusCode.PERMISSION_DENIED: Meaning.DENIED,
    grpc.StatusCode.INVALID_ARGUMENT: Meaning.REFUSED,
    grpc.StatusCode.FAILED_PRECONDITION: Meaning.REFUSED,
    grpc.StatusCode.ALREADY_EXISTS: Meaning.REFUSED,
    grpc.StatusCode.UNIMPLEMENTED: Meaning.REFUSED,
}
_HTTP: Final = {
    429: Meaning.BUSY,
    502: Meaning.AWAY,
    503: Meaning.AWAY,
    404: Meaning.GONE,
    401: Meaning.DENIED,
    403: Meaning.DENIED,
    400: Meaning.REFUSED,
    409: Meaning.REFUSED,
    422: Meaning.REFUSED,
}
_REPLICAS: Final = (
    "no leader could be selected",
    "via leader peer",
    "no active replica",
    "enough active replicas",
    "`Active` replica",
    "replica of shard",
)
"""How Qdrant 1.18 says that a cluster lacks replicas. It has no status code of its own for it."""


def read_error(error: Exception) -> tuple[Meaning, str]:
    """Return the meaning and the message of a server's error; raise any other error again."""
    if isinstance(error, grpc.Call):
        meaning = _GRPC.get(error.code(), Meaning.FAILED)
        details = error.details() or error.code().name
        lacks = any(phrase in details for phrase in _REPLICAS)
        return (Meaning.DEGRADED if lacks and meaning is Meaning.FAILED else meaning), details
    if isinstance(error, UnexpectedResponse):
        return _HTTP.get(error.status_code or 0, Meaning.FAILED), str(error)
    if isinstance(error, ValueError):  # the client's local mode has no errors of its own
        if str(error).startswith("Collection ") and str(error).endswith(" not found"):
            return Meaning.GONE, str(error)
        raise error
    if isinstance(error, ResourceExhaustedResponse):
        return Meaning.BUSY, str(error)
    silent = isinstance(error, ResponseHandlingException)
    return (Meaning.SILENT if silent else Meaning.FAILED), str(error) or type(error).__name__


def translate_error(
    meaning: Meaning, details: str, *, server: str, collection: str
) -> LookalikeError:
    """Return the error of the domain; `server` names who answered, or did not."""
    if meaning is Meaning.GONE:
        return IndexGone(f"the collection {collection!r} is gone", collection=collection)
    if meaning in (Meaning.REFUSED, Meaning.DENIED) and "Index required" in details:
        return InvalidFilter(
            "the Qdrant server filters only by indexed fields (its strict mode); "
            f"`lookalike reindex` gives an older index the tokens of attributes: {details}"
        )
    if (setting := _setting_in_the_way(meaning, details)) is not None:
        return IndexLimited(
            f"the strict mode of the Qdrant collection {collection!r} refuses this ({setting}): "
            f"{details}",
            setting=setting,
        )
    kind, said = _SAID.get(meaning, (IndexUnavailable, "{server} does not answer"))
    return kind(f"{said.format(server=server)}: {details}")


_LIMITS: Final = {
    '"limit"': "max_query_limit",
    '"timeout"': "max_timeout",
    "Exact search": "search_allow_exact",
    '"oversampling"': "search_max_oversampling",
    "upsert limit": "upsert_max_batchsize",
    "Filter condition limit": "filter_max_conditions",
    "Condition size limit": "condition_max_size",
    "vector storage size": "max_collection_vector_size_bytes",
    "payload storage size": "max_collection_payload_size_bytes",
    "points count limit": "max_points_count",
    "payload index": "max_payload_index_count",
    "memory usage": "max_resident_memory_percent",
}
"""What a server says of a limit, and the setting of strict mode that sets it."""


def _setting_in_the_way(meaning: Meaning, details: str) -> str | None:
    """Return the setting of strict mode that a refusal is about, None if it is about another thing.

    A server refuses as a wrong argument or, by its release, as forbidden.
    """
    is_strict = "Help: " in details or "limit of" in details
    if meaning not in (Meaning.REFUSED, Meaning.DENIED) or not is_strict:
        return None
    said = details.lower()
    return next((setting for text, setting in _LIMITS.items() if text.lower() in said), None)


_SAID: Final[dict[Meaning, tuple[type[LookalikeError], str]]] = {
    Meaning.DENIED: (ConfigurationError, "{server} denies access (QDRANT_API_KEY)"),
    Meaning.REFUSED: (IndexRefused, "the Qdrant server refuses the request"),
    Meaning.DEGRADED: (IndexDegraded, "the Qdrant cluster lacks replicas"),
    Meaning.FAILED: (IndexUnavailable, "{server} failed"),
}
