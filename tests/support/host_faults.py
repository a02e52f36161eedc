"""What goes wrong with a host, made real: no file descriptors, hosts that refuse, hang or reset."""

from __future__ import annotations

import resource
import socket
import struct
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from typing import Any

from sqlalchemy import Connection, event
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from backend.database.engine import Database
from backend.database.models import ImageVector
from backend.images import fetch
from backend.images.limits import ImageLimits


@contextmanager
def no_file_descriptors() -> Iterator[None]:
    """Let this process open nothing more, as when the limit is reached."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@contextmanager
def no_threads() -> Iterator[None]:
    """Let this process start no thread: there is no room for so large a stack."""
    before = threading.stack_size(1 << 46)
    try:
        yield
    finally:
        threading.stack_size(before)


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """Let this process make no file longer, as a quota or `ulimit -f` does."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


class ImageHost:
    """A real HTTP server of images that answers, refuses, hangs, resets or fails, as it is told.

    `asked` are the paths of its requests. It listens on one port for its whole life, also after it
    was dead.
    """

    def __init__(self, image: bytes) -> None:
        self.image = image
        self.mood = "answers"
        self.asked: list[str] = []
        self._over = threading.Event()
        self._open(0)

    def _open(self, port: int) -> None:
        self._server = ThreadingHTTPServer(("127.0.0.1", port), _handler_of(self))
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.01}
        )
        self._thread.start()

    def die(self) -> None:
        """Listen no longer: connections are refused."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def come_back(self) -> None:
        """Listen again, at the same address, and answer."""
        self.mood = "answers"
        self._open(self.port)

    def close(self) -> None:
        self._over.set()
        self.die()

    def uri(self, name: object) -> str:
        return f"http://localhost:{self.port}/{name}"

    def fetch(self, uri: str, *, limits: ImageLimits, seconds: float = 5) -> bytes:
        """Fetch as the product does, except that loopback may be connected to."""
        return fetch.fetch(
            uri,
            hosts=[f"localhost:{self.port}"],
            limits=limits,
            seconds=seconds,
            may_connect=lambda address: address.is_loopback,
        )

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        self.asked.append(request.path)
        if self.mood == "hangs":
            self._over.wait(60)
        elif self.mood == "resets":
            linger = struct.pack("ii", 1, 0)  # closing sends RST at once
            request.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            request.connection.close()
        else:
            fails = self.mood == "fails" or request.path.startswith("/broken")
            body = b"" if fails else self.image
            is_missing = request.path.startswith("/missing")
            request.send_response(500 if fails else 404 if is_missing else 200)
            request.send_header("Content-Length", str(len(body)))
            request.end_headers()
            request.wfile.write(body)


def _handler_of(host: ImageHost) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            with suppress(OSError):
                host.answer(self)

        def finish(self) -> None:
            with suppress(OSError, ValueError):
                super().finish()

        def log_message(self, *_args: object) -> None:
            pass

    return Handler


@contextmanager
def full_disk(db: Database) -> Iterator[None]:
    """Give SQLite not one page more, so that it fails as on a full disk."""

    def limit(connection: Any, *_: object) -> None:
        connection.execute("PRAGMA max_page_count=1")  # it keeps to what it has

    event.listen(db.engine, "checkout", limit)
    try:
        for _ in range(10_000):  # use what is left of the last page
            with suppress(OperationalError):
                db.write(_fill)
                continue
            break
        yield
    finally:
        event.remove(db.engine, "checkout", limit)
        event.listen(db.engine, "checkout", _unlimited)


def _fill(session: Session) -> None:
    digest = f"filler{uuid.uuid4().hex}"
    session.add(ImageVector(image_digest=digest, fingerprint="none", vector=bytes(16)))


def _unlimited(connection: Any, *_: object) -> None:
    connection.execute("PRAGMA max_page_count=1000000")


@contextmanager
def lost_commits(db: Database, *, after: int, is_written: bool) -> Iterator[None]:
    """Lose the connection in each commit after some; `is_written` tells whether it was carried out.

    So it is when a server is killed: before it has read the commit, or before it has answered.
    """
    done = count()

    def lose(connection: Connection) -> None:
        if next(done) < after:
            return
        if is_written:
            connection.connection.commit()
        raise OperationalError("COMMIT", {}, ConnectionError("the server closed the connection"))

    event.listen(db.engine, "commit", lose)
    try:
        yield
    finally:
        event.remove(db.engine, "commit", lose)
