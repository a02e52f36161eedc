"""Skus in paths: any characters, percent-encoded, a slash as `%2F`.

WSGI servers decode the path before an app sees it, after which `%2F` is a slash like any other.
So the path is taken as the client has sent it, and decoded here, segment by segment.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, unquote, unquote_to_bytes

from flask import Flask
from werkzeug.routing import BaseConverter

from backend.catalogue.skus import normalise

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

RAW: Final = ("RAW_URI", "REQUEST_URI")
"""Where servers keep the target of the request, not decoded."""

_PLAIN: Final = re.compile(r"[A-Za-z0-9_.~/-]*")
WITH_SKU: Final = (b"/v1/products/", b"/products/")
"""What paths with a sku begin with: those of the API, and those of the web pages."""


def register_paths(app: Flask) -> None:
    """Let `<sku>` in rules of an app stand for any sku; call it before the first rule is added.

    The converter is the default one: ids, in other paths, are not encoded and stay as they are.
    """
    app.url_map.converters["default"] = SkuConverter
    app.url_map.converters["generation"] = GenerationConverter
    app.wsgi_app = _RawPaths(app.wsgi_app)  # type: ignore[method-assign]


class SkuConverter(BaseConverter):
    """One segment of a path: a sku, encoded once more than a WSGI server leaves it."""

    def to_python(self, value: str) -> str:
        """Return the sku in its composed form. The views check whether it can be one."""
        return normalise(unquote(value))

    def to_url(self, value: Any) -> str:
        """Return a sku as it stands in an address."""
        return quote(str(value), safe=":")


class GenerationConverter(SkuConverter):
    """One segment that names a generation, and not what is done to all of them.

    Otherwise `GET …/generations/rollback` would be answered as if there could be such an id.
    """

    regex = "(?!rollback$)[^/]+"
    part_isolating = True


class _RawPaths:
    """Puts the path as it was sent, still percent-encoded, in the place of the decoded one."""

    def __init__(self, app: WSGIApplication) -> None:
        self._app = app

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer a request."""
        path = environ.get("PATH_INFO", "")
        if _PLAIN.fullmatch(path) and "%" not in environ.get("REQUEST_URI", "%"):
            return self._app(environ, start_response)  # encoded or decoded, it is the same
        decoded = path.encode("latin-1")
        if decoded.startswith(WITH_SKU):
            environ["PATH_INFO"] = _sent_path(environ, decoded) or quote(decoded, safe="/")
        return self._app(environ, start_response)


def _sent_path(environ: WSGIEnvironment, decoded: bytes) -> str | None:
    """Return the path as it was sent, if the server has kept it and nothing has changed it."""
    root = environ.get("SCRIPT_NAME", "").encode("latin-1")
    for name in RAW:
        sent = environ.get(name, "").partition("?")[0]
        if not sent.startswith("/"):  # the absolute form: http://host/path
            sent = "/" + sent.partition("://")[2].partition("/")[2]
        whole = unquote_to_bytes(sent.encode("latin-1"))
        for prefix in (root, b""):  # a proxy may have taken it from the path
            if whole == prefix + decoded:
                return _without_root(sent, prefix)
    return None


def _without_root(sent: str, root: bytes) -> str | None:
    """Return a path without the prefix below which the app lies."""
    end = root.count(b"/")
    head, tail = sent.split("/")[: end + 1], sent.split("/")[end + 1 :]
    if unquote_to_bytes("/".join(head).encode("latin-1")) != root:
        return None
    segments = (unquote_to_bytes(part.encode("latin-1")) for part in tail)
    return "/" + "/".join(quote(segment, safe="") for segment in segments)
