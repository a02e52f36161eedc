"""What reverse proxies say of a request, where LOOKALIKE_PROXIES says that there are some.

Their headers tell the client's address (`X-Forwarded-For`), and the address at which clients reach
the API (`X-Forwarded-Proto`, `-Host`, `-Prefix`), for the links in answers.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from flask import Flask
from werkzeug.middleware.proxy_fix import ProxyFix

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment


def trust_proxies(app: Flask, *, hops: int) -> None:
    """Trust the headers that this number of proxies in front of us have set; with 0, no header."""
    if hops:
        inner = _Prefixed(app.wsgi_app, app)
        app.wsgi_app = ProxyFix(  # type: ignore[method-assign]
            inner, x_for=hops, x_proto=hops, x_host=hops, x_prefix=hops
        )


class _Prefixed:
    """Takes the prefix from the path, where the proxy has left it there."""

    def __init__(self, wsgi_app: WSGIApplication, app: Flask) -> None:
        self._wsgi_app = wsgi_app
        self._app = app

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer a request."""
        name = environ.get("SCRIPT_NAME", "").strip("/")  # "//host" would lead to that host
        environ["SCRIPT_NAME"] = prefix = f"/{name}" if name else ""
        path = environ.get("PATH_INFO", "")
        if prefix and path.startswith(f"{prefix}/") and self._is_ours(path[len(prefix) :]):
            environ["PATH_INFO"] = path[len(prefix) :]
        return self._wsgi_app(environ, start_response)

    def _is_ours(self, path: str) -> bool:
        """Tell whether a path begins as one of the app's; the prefix may look like one, too."""
        first = path.split("/")[1]
        return any(rule.rule.split("/")[1] == first for rule in self._app.url_map.iter_rules())
