"""The WSGI environment of a request (PEP 3333), from its ASGI scope."""

from __future__ import annotations

import sys
from typing import Any, BinaryIO, Final
from urllib.parse import unquote_to_bytes

from uvicorn._types import HTTPScope

UNPREFIXED: Final = {b"content-type": "CONTENT_TYPE"}
OURS: Final = {b"content-length", b"transfer-encoding", b"expect"}
"""Headers of the message, not of the request: the body was read already."""


def build_environ(scope: HTTPScope, body: BinaryIO, *, length: int | None) -> dict[str, Any]:
    """Return the environment of a request whose body is `length` bytes, or absent.

    Header names with underscores are left out: `X_Real_Ip` would look like `X-Real-Ip`, and get
    past a proxy that removes the latter.
    """
    raw_path = scope["raw_path"].decode("latin-1")
    query = scope["query_string"].decode("latin-1")
    host, port = scope["server"] or ("", None)
    client = scope["client"] or ("", 0)
    environ: dict[str, Any] = {
        "REQUEST_METHOD": scope["method"],
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote_to_bytes(scope["raw_path"]).decode("latin-1"),
        "QUERY_STRING": query,
        "REQUEST_URI": f"{raw_path}?{query}" if query else raw_path,
        "SERVER_NAME": host,
        "SERVER_PORT": str(port or ""),
        "SERVER_PROTOCOL": f"HTTP/{scope['http_version']}",
        "REMOTE_ADDR": client[0],
        "REMOTE_PORT": str(client[1]),
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scope["scheme"],
        "wsgi.input": body,
        "wsgi.input_terminated": True,
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
    }
    if length is not None:
        environ["CONTENT_LENGTH"] = str(length)
    for name, value in scope["headers"]:
        if name not in OURS and b"_" not in name:
            _add_header(environ, name, value.decode("latin-1"))
    return environ


def _add_header(environ: dict[str, Any], name: bytes, value: str) -> None:
    key = UNPREFIXED.get(name) or "HTTP_" + name.decode("latin-1").upper().replace("-", "_")
    if key in environ:
        value = environ[key] + ("; " if name == b"cookie" else ",") + value
    environ[key] = value
