"""Our HTTP server in a thread of the test, and clients that send it bytes."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from http.client import HTTPResponse
from typing import TYPE_CHECKING, Any

from backend.serving.gateway import Gateway
from backend.serving.limits import HttpLimits
from backend.serving.server import Server
from backend.serving.special_paths import SpecialPaths
from support.servers import wait_for

if TYPE_CHECKING:
    from wsgiref.types import WSGIApplication

PATIENCE_SECONDS = 60.0
HOST = b"Host: localhost\r\n"
ALIVE = b'{"status":"ok"}'


UPLOADS = {"/v1/products:import": 3_000_000}


class HttpServer:
    """A server on a port of its own."""

    def __init__(self, app: WSGIApplication, *, threads: int, limits: HttpLimits) -> None:
        paths = SpecialPaths(
            direct={"/livez": ALIVE}, apart=frozenset({"/readyz"}), uploads=UPLOADS
        )
        self.gateway = Gateway(app, threads=threads, limits=limits, paths=paths)
        self.master, self._theirs = socket.socketpair()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.server = Server(
            self.gateway, limits=limits, master=self._theirs, max_requests=0, on_stop=lambda: None
        )
        self.thread = threading.Thread(target=self.server.run, args=([self._listener],))

    def close(self) -> None:
        """Stop, and wait for the end."""
        self.server.should_exit = True
        self.thread.join(PATIENCE_SECONDS)
        assert not self.thread.is_alive()
        for each in (self.master, self._theirs):
            each.close()

    def connect(self, sent: bytes = b"") -> Client:
        """Connect, and send the beginning of a request."""
        return Client(self.port, sent)

    def ask(self, sent: bytes) -> Reply:
        """Send a request over a connection of its own."""
        with closing(self.connect(sent)) as client:
            return client.reply()

    def get(self, path: str, *headers: str) -> Reply:
        lines = "".join(f"{header}\r\n" for header in headers)
        return self.ask(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n{lines}\r\n".encode())


@contextmanager
def http_server(app: WSGIApplication, *, threads: int = 4, **limits: Any) -> Iterator[HttpServer]:
    """Serve an app until the block ends."""
    found = HttpServer(app, threads=threads, limits=HttpLimits(**limits))
    found.thread.start()
    wait_for(lambda: found.server.started, seconds=PATIENCE_SECONDS)
    try:
        yield found
    finally:
        found.close()


class Reply:
    """What a server answered."""

    def __init__(self, connection: socket.socket) -> None:
        with HTTPResponse(connection) as response:
            response.begin()
            self.status = response.status
            self.headers: Mapping[str, str] = {k.lower(): v for k, v in response.headers.items()}
            self.body = response.read()

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    def __repr__(self) -> str:
        return f"{self.status} {self.body[:200]!r}"


class Client:
    """One connection."""

    def __init__(self, port: int, sent: bytes = b"") -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_SECONDS)
        self.socket.sendall(sent)

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def end(self) -> None:
        """Say that nothing more will be sent."""
        self.socket.shutdown(socket.SHUT_WR)

    def reply(self) -> Reply:
        return Reply(self.socket)

    def is_closed(self) -> bool:
        """Wait for the server; tell whether it closes without a word."""
        try:
            return self.socket.recv(1) == b""
        except ConnectionResetError:
            return True

    def close(self) -> None:
        self.socket.close()
