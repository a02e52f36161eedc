"""Skus and shoppers in paths: any characters, percent-encoded, a slash as `%2F`.

WSGI servers decode the path before an app sees it, after which `%2F` is a slash like any other.
So the path is taken as the client has sent it, and decoded here, segment by segment.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, unquote, unquote_to_bytes

from flask import Flask
from werkzeug.routing import BaseConverter, Rule

from backend.catalogue.skus import normalise

if TYPE_CHECKING:
    from collections.abc import Mapping
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

RAW: Final = ("RAW_URI", "REQUEST_URI")
"""Where servers keep the target of the request, not decoded."""

_PLAIN: Final = re.compile(r"[A-Za-z0-9_.~/-]*")
ENCODED: Final = (b"/v1/products/", b"/v1/users/", b"/products/")
"""What paths with a sku or a shopper begin with: those of the API, and those of the web pages."""


def register_paths(app: Flask) -> None:
    """Let `<sku>` and `<user>` in rules of an app stand for any text.

    Call it before the first rule is added. The converter is the default one: ids, in other paths,
    are not encoded and stay as they are.
    """
    app.url_rule_class = _PathRule
    app.url_map.converters["default"] = SegmentConverter
    app.url_map.converters["sku"] = SkuConverter
    app.url_map.converters["generation"] = GenerationConverter
    app.wsgi_app = _RawPaths(app.wsgi_app)  # type: ignore[method-assign]


class SegmentConverter(BaseConverter):
    """One segment of a path, encoded once more than a WSGI server leaves it."""

    def to_python(self, value: str) -> str:
        """Return the text as its client has it. The views check whether it is allowed."""
        return unquote(value)

    def to_url(self, value: Any) -> str:
        """Return a text as it stands in an address."""
        return quote(str(value), safe=":")


class SkuConverter(SegmentConverter):
    """A sku, in its composed form."""

    def to_python(self, value: str) -> str:
        """Return the sku in the form in which it is stored."""
        return normalise(unquote(value))


class _PathRule(Rule):
    """A rule in which `<sku>` has the converter for skus, although it does not name one."""

    def get_converter(
        self,
        variable_name: str,
        converter_name: str,
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
    ) -> BaseConverter:
        """Return the converter of one segment."""
        if (variable_name, converter_name) == ("sku", "default"):
            converter_name = "sku"
        return super().get_converter(variable_name, converter_name, args, kwargs)


class GenerationConverter(SegmentConverter):
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
        if decoded.startswith(ENCODED):
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
