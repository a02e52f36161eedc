"""What the server itself refuses: a problem document, and a line in the log."""

from __future__ import annotations

import json
from collections.abc import Mapping
from http import HTTPStatus

import structlog

from backend.api.problems import MEDIA_TYPE, RequestError
from backend.api.request_log import HEADER, choose_id
from backend.metrics.instruments import count_refused

log = structlog.get_logger(__name__)


def refuse(
    error: RequestError,
    *,
    request_id: str,
    method: str | None,
    path: str | None,
    client: str | None,
) -> tuple[list[tuple[bytes, bytes]], bytes]:
    """Log and count a refusal; return the headers and the body of its answer."""
    count_refused(error.status)
    log.info(
        "request",
        request_id=request_id,
        method=method,
        path=path,
        route=None,
        status=error.status,
        code=error.code,
        client=client,
    )
    body = json.dumps(error.document() | {"request_id": request_id}).encode()
    headers = {
        "Content-Type": MEDIA_TYPE,
        "Content-Length": str(len(body)),
        HEADER: request_id,
        "X-Content-Type-Options": "nosniff",
        **error.headers,
    }
    return encode_headers(headers), body


def encode_headers(headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    """Return headers as ASGI has them."""
    return [(name.lower().encode(), value.encode("latin-1")) for name, value in headers.items()]


def raw_answer(error: RequestError, headers: list[tuple[bytes, bytes]], body: bytes) -> bytes:
    """Return a whole answer that ends its connection, as it is sent."""
    lines = [f"HTTP/1.1 {error.status} {HTTPStatus(error.status).phrase}".encode()]
    lines += [name + b": " + value for name, value in headers]
    return b"\r\n".join([*lines, b"connection: close", b"", body])


def id_of(headers: list[tuple[bytes, bytes]]) -> str:
    """Return the id of a request: the client's, or a new one."""
    name = HEADER.lower().encode()
    sent = next((value for key, value in headers if key == name), b"")
    return choose_id(sent.decode("latin-1"))
