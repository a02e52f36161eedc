"""How a node is connected to: by gRPC, with short pauses between two tries to connect."""

from __future__ import annotations

import warnings
from typing import Any, Final

from qdrant_client import QdrantClient

from backend.vectors.server.addresses import Address

READ_SECONDS: Final = 5
"""Time limit of a read: a shopper may be waiting."""

WRITE_SECONDS: Final = 60
"""Time limit of a write, which may have to wait for the server's optimizer."""

OPTIONS: Final[dict[str, Any]] = {
    # gRPC's own pauses grow to two minutes; for that time a server that is back would not be used.
    "grpc.initial_reconnect_backoff_ms": 100,
    "grpc.min_reconnect_backoff_ms": 1_000,  # also the time limit of one try to connect
    "grpc.max_reconnect_backoff_ms": 1_000,
    # A host that is gone closes no connection.
    "grpc.keepalive_time_ms": 10_000,
    "grpc.keepalive_timeout_ms": 3_000,
    "grpc.http2.max_pings_without_data": 0,
}
"""Options of a channel, for https://grpc.github.io/grpc/core/group__grpc__arg__keys.html."""


def connect(address: Address, *, api_key: str | None, seconds: int) -> QdrantClient:
    """Return a client of one node; nothing is sent yet. `seconds` is the time limit of a call."""
    options = dict(OPTIONS)
    if address.is_tls and address.host != address.name:  # its certificate is made for the name
        options["grpc.ssl_target_name_override"] = address.name
    # `warn_about_plain_key` logs the same once, and names the setting.
    warnings.filterwarnings("ignore", "Api key is used with an insecure", UserWarning)
    return QdrantClient(
        url=address.url,
        api_key=api_key,
        prefer_grpc=True,
        grpc_port=address.grpc_port,
        grpc_options=options,
        timeout=seconds,  # by gRPC a write's deadline is this one, whatever the call says
        check_compatibility=False,  # it would ask over HTTP, in a thread, only to warn
    )
