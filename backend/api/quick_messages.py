"""Flask's requests, answers and headers, with less work for each.

What is not plain is left to Flask and werkzeug: the outcome is the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from flask import Request, Response
from werkzeug.datastructures import EnvironHeaders, Headers

if TYPE_CHECKING:
    from collections.abc import Iterable
    from wsgiref.types import StartResponse, WSGIEnvironment

_COMPLETED: Final = frozenset({"location", "content-location"})
"""Headers that werkzeug completes when it sends an answer."""


class QuickRequest(Request):
    """A request whose target is ASCII is read from its environment at once."""

    def __init__(
        self, environ: WSGIEnvironment, populate_request: bool = True, shallow: bool = False
    ) -> None:
        root, path = environ.get("SCRIPT_NAME") or "", environ.get("PATH_INFO") or ""
        port = environ.get("SERVER_PORT") or ""
        is_plain = root.isascii() and path.isascii() and port.isdecimal()
        if shallow or not (populate_request and is_plain and "SERVER_NAME" in environ):
            super().__init__(environ, populate_request, shallow)
            return
        self.method = environ.get("REQUEST_METHOD", "GET").upper()
        self.scheme = environ.get("wsgi.url_scheme", "http")
        self.server = environ["SERVER_NAME"], int(port)
        self.root_path = root.rstrip("/")
        self.path = "/" + path.lstrip("/")
        self.query_string = environ.get("QUERY_STRING", "").encode("latin1")
        self.headers = EnvironHeaders(environ)
        self.remote_addr = environ.get("REMOTE_ADDR")
        self.environ = environ
        self.shallow = False
        environ["werkzeug.request"] = self


class QuickHeaders(Headers):
    """Headers of an answer, in fewer calls: most names are new, and most values are plain."""

    def __contains__(self, key: str) -> bool:
        """Tell whether there is a header of this name."""
        wanted = key.lower()
        for name, _ in self._list:  # noqa: SIM110  # a generator would be a call for each header
            if name.lower() == wanted:
                return True
        return False

    def __setitem__(self, key: Any, value: Any) -> None:
        """Set a header. What is added here has no line break, since that is not printable."""
        is_plain = type(key) is str and type(value) is str and value.isprintable()
        if is_plain and key not in self:
            self._list.append((key, value))
        else:
            super().__setitem__(key, value)

    @property
    def names(self) -> set[str]:
        """All names, in lower case."""
        return {name.lower() for name, _ in self._list}

    @classmethod
    def of(cls, *headers: tuple[str, str]) -> QuickHeaders:
        """Return some headers, whose names differ, and whose values have no line breaks."""
        made = cls()
        made._list.extend(headers)
        return made


class QuickResponse(Response):
    """An answer; one whose headers are final and whose body is bytes is sent as it is."""

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Send the answer, as PEP 3333 has it."""
        body = self.response
        is_plain = self._status_code == 200 and environ["REQUEST_METHOD"] != "HEAD"
        if not is_plain or self._on_close or self.direct_passthrough or type(body) is not list:
            return super().__call__(environ, start_response)
        headers = self.headers
        names = headers.names if type(headers) is QuickHeaders else set()
        is_final = "content-length" in names and names.isdisjoint(_COMPLETED)
        if not is_final or not (len(body) == 1 and type(body[0]) is bytes):
            return super().__call__(environ, start_response)
        start_response(self._status, list(headers._list))
        return body

    def get_data(self, as_text: bool = False) -> Any:
        """Return the whole body; that of one part needs no joining."""
        if as_text:
            return super().get_data(as_text=True)
        body: Any = self.response
        is_whole = type(body) is list and len(body) == 1 and type(body[0]) is bytes
        return body[0] if is_whole else super().get_data()
