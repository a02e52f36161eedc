"""One request: its body is read in the event loop, then the WSGI app runs in one of the threads.

At most `waiting` requests wait for a thread; more are answered 503. Which requests need none, or
another one, `special_paths` says.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from io import BytesIO
from typing import TYPE_CHECKING, Any, Final

import structlog
from uvicorn._types import ASGIReceiveCallable, ASGISendCallable, HTTPScope

from backend.api.problems import RequestError
from backend.api.request_log import HEADER
from backend.serving.body import Bodies, Body, Disconnected
from backend.serving.environ import build_environ
from backend.serving.limits import HttpLimits
from backend.serving.refusals import encode_headers, id_of, refuse
from backend.serving.request_threads import RequestThreads
from backend.serving.short_reads import ShortReads
from backend.serving.special_paths import SpecialPaths

if TYPE_CHECKING:
    from wsgiref.types import WSGIApplication

log = structlog.get_logger(__name__)

CLOSE: Final = (b"connection", b"close")
BODILESS: Final = (204, 304)

APART_THREADS: Final = 4
APART_WAITING: Final = 16
"""Threads for the paths in `apart`, and requests that may wait for one of these."""


@dataclass
class HttpAnswer:
    """An answer as ASGI has it."""

    status: int
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    body: bytes = b""


class Gateway:
    """An ASGI application that runs a WSGI application in a fixed number of threads."""

    def __init__(
        self,
        app: WSGIApplication,
        *,
        threads: int,
        limits: HttpLimits,
        paths: SpecialPaths,
    ) -> None:
        self._paths = paths
        self._limits = limits
        self._bodies = Bodies(limits)
        run = partial(run_app, app)
        self._reads = ShortReads(
            run, threads, waiting=limits.waiting, ends=paths.turns, in_loop=paths.in_loop
        )
        self._threads = self._reads.threads
        self._apart_threads = RequestThreads(
            run, APART_THREADS, waiting=APART_WAITING, name="probe"
        )

    async def __call__(
        self, scope: HTTPScope, receive: ASGIReceiveCallable, send: ASGISendCallable
    ) -> None:
        """Answer one request."""
        try:
            answer = self._answer_directly(scope) or await self._answer(scope, receive)
        except Disconnected:
            return
        except RequestError as error:
            answer = _refusal(error, scope)
        await send(
            {"type": "http.response.start", "status": answer.status, "headers": answer.headers}
        )
        await send({"type": "http.response.body", "body": answer.body, "more_body": False})

    @property
    def begun(self) -> int:
        """Requests that the app works on, or that wait for a thread."""
        return self._threads.begun

    @property
    def buffered(self) -> int:
        """Bytes of large bodies that are held now."""
        return self._bodies.buffered

    def stop(self) -> None:
        """Hurry the bodies that are arriving."""
        self._bodies.stop()

    def _answer_directly(self, scope: HTTPScope) -> HttpAnswer | None:
        found = self._paths.direct.get(scope["path"])
        if found is None or scope["query_string"] or scope["method"] not in ("GET", "HEAD"):
            return None
        headers = {
            "Content-Type": "application/json",
            "Content-Length": str(len(found)),
            HEADER: id_of(list(scope["headers"])),
        }
        return HttpAnswer(200, encode_headers(headers), found)

    async def _answer(self, scope: HTTPScope, receive: ASGIReceiveCallable) -> HttpAnswer:
        sent = dict(scope["headers"])
        announced = int(sent[b"content-length"]) if b"content-length" in sent else None
        if not announced and b"transfer-encoding" not in sent:
            return await self._run(build_environ(scope, BytesIO(), length=announced))
        upload = self._upload_limit(scope["path"])
        limit = self._limits.body if upload is None else upload
        if announced and announced > limit and b"expect" in sent:  # its client waits for us
            answer = await self._run(build_environ(scope, BytesIO(), length=announced))
            answer.headers.append(CLOSE)
            return answer
        body = await self._bodies.read(receive, upload=upload)
        try:
            return await self._answer_body(scope, body, announced, limit)
        finally:
            body.release()

    def _upload_limit(self, path: str) -> int | None:
        """Return how many bytes an upload to a path may have, also below a proxy's prefix."""
        return next((most for it, most in self._paths.uploads.items() if path.endswith(it)), None)

    async def _answer_body(
        self, scope: HTTPScope, body: Body, announced: int | None, limit: int
    ) -> HttpAnswer:
        if announced is not None and body.received < min(announced, limit):
            raise RequestError(400, "bad-request", "the body is shorter than its Content-Length")
        body.file.seek(0)
        length = body.received if announced is None else announced
        answer = await self._run(build_environ(scope, body.file, length=length))
        if length > body.received:  # the rest was not read
            answer.headers.append(CLOSE)
        return answer

    async def _run(self, environ: dict[str, Any]) -> HttpAnswer:
        if environ["REQUEST_METHOD"] != "GET":
            return await self._threads.run(environ)
        path = environ["PATH_INFO"]
        if path in self._paths.apart:
            return await self._apart_threads.run(environ)
        if path.endswith(self._paths.turns):
            return await self._reads.run(environ)
        return await self._threads.run(environ)


def run_app(app: WSGIApplication, environ: dict[str, Any]) -> HttpAnswer:
    """Call a WSGI application and collect its answer."""
    answer = HttpAnswer(500)
    parts: list[bytes] = []

    def start_response(status: str, headers: list[tuple[str, str]], *_: object) -> Any:
        answer.status = int(status[:3])
        answer.headers = [
            (name.lower().encode("latin-1"), value.encode("latin-1"))
            for name, value in headers
            if name.lower() != "date"  # the server sends one itself
        ]
        return parts.append

    result = app(environ, start_response)
    try:
        parts.extend(result)
    finally:
        if hasattr(result, "close"):
            result.close()
    answer.body = parts[0] if len(parts) == 1 else b"".join(parts)
    if answer.status not in BODILESS and b"content-length" not in dict(answer.headers):
        answer.headers.append((b"content-length", str(len(answer.body)).encode()))
    return answer


def _refusal(error: RequestError, scope: HTTPScope) -> HttpAnswer:
    client = scope["client"]
    headers, body = refuse(
        error,
        request_id=id_of(list(scope["headers"])),
        method=scope["method"],
        path=scope["path"],
        client=client[0] if client else None,
    )
    closing = error.status != 503 or error.code == "server-stopping"
    return HttpAnswer(error.status, [*headers, CLOSE] if closing else headers, body)
