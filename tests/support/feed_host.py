"""A web server that gives feeds, with the habits of real ones."""

from __future__ import annotations

import gzip
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from email.utils import formatdate
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


class FeedHost(ThreadingHTTPServer):
    """Gives `text` at any path; the path says how: `/short`, `/gzip` and so on."""

    daemon_threads = True

    def __init__(self, certificate: tuple[Path, Path] | None = None) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.scheme = "https" if certificate else "http"
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*certificate)
            self.socket = context.wrap_socket(self.socket, server_side=True)
        self.text = ""
        self.elsewhere = ""  # where `/elsewhere` leads
        self.status = 200
        self.retry_after: str | None = None  # sent with any other status
        self.asked: list[str] = []  # the paths, in order
        self.over = threading.Event()  # ends the silence of `/silent`

    @property
    def name(self) -> str:
        return f"localhost:{self.server_address[1]}"

    def url(self, path: str = "feed.csv") -> str:
        return f"{self.scheme}://{self.name}/{path}"

    def fill(self, count: int, first: int = 0) -> None:
        numbers = range(first, first + count)
        self.text = "sku,name\n" + "".join(f"s{n},Shirt {n}\n" for n in numbers)


@contextmanager
def feed_host(certificate: tuple[Path, Path] | None = None) -> Iterator[FeedHost]:
    with FeedHost(certificate) as host:
        thread = threading.Thread(target=host.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield host
        finally:
            host.over.set()
            host.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    server: FeedHost
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        path = self.path.strip("/").partition("?")[0]
        self.server.asked.append(path)
        self.close_connection = True
        with suppress(OSError):
            getattr(self, f"give_{path}", self.give_plain)()

    @property
    def body(self) -> bytes:
        return self.server.text.encode()

    def head(self, status: int = 200, **headers: str | int) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()

    def give_plain(self) -> None:
        tag = f'"{sha256(self.body).hexdigest()[:8]}"'
        if self.server.status != 200:
            asked = {"Retry_After": self.server.retry_after} if self.server.retry_after else {}
            self.head(self.server.status, Content_Length=0, **asked)
        elif self.headers["If-None-Match"] == tag:
            self.head(304)
        else:
            self.head(Content_Length=len(self.body), ETag=tag)
            self.wfile.write(self.body)

    def give_dated(self) -> None:
        date = formatdate(len(self.body), usegmt=True)
        if self.headers["If-Modified-Since"] == date:
            self.head(304)
        else:
            self.head(Content_Length=len(self.body), Last_Modified=date)
            self.wfile.write(self.body)

    def give_short(self) -> None:
        self.head(Content_Length=len(self.body) + 100, ETag='"short"')
        self.wfile.write(self.body)

    def give_unsized(self) -> None:
        self.head()
        self.wfile.write(self.body)

    def give_chunked(self) -> None:
        self._chunks(self.body + b"", b"0\r\n\r\n")

    def give_broken(self) -> None:
        self._chunks(self.body, b"ff\r\nonly a part of it")

    def _chunks(self, body: bytes, end: bytes) -> None:
        self.head(Transfer_Encoding="chunked")
        self.wfile.write(f"{len(body):x}\r\n".encode() + body + b"\r\n" + end)

    def give_gzip(self) -> None:
        self._packed(gzip.compress(self.body))

    def give_cutgzip(self) -> None:
        self._packed(gzip.compress(self.body)[:-20])

    def _packed(self, data: bytes) -> None:
        self.head(Content_Length=len(data), Content_Encoding="gzip")
        self.wfile.write(data)

    def give_gz(self) -> None:
        data = gzip.compress(self.body)
        self.head(Content_Length=len(data), Content_Type="application/gzip")
        self.wfile.write(data)

    def give_bomb(self) -> None:
        self._packed(gzip.compress(bytes(5_000_000)))

    def give_brotli(self) -> None:
        self.head(Content_Length=3, Content_Encoding="br")
        self.wfile.write(b"abc")

    def give_moved(self) -> None:
        self.head(302, Location="/feed.csv", Content_Length=0)

    def give_elsewhere(self) -> None:
        self.head(302, Location=self.server.elsewhere, Content_Length=0)

    def give_circle(self) -> None:
        self.head(301, Location="/circle", Content_Length=0)

    def give_inside(self) -> None:
        self.head(302, Location="http://169.254.169.254/latest/meta-data", Content_Length=0)

    def give_loopback(self) -> None:
        port = self.server.server_address[1]
        self.head(307, Location=f"http://127.0.0.1:{port}/feed.csv", Content_Length=0)

    def give_silent(self) -> None:
        self.server.over.wait(60)

    def give_slow(self) -> None:
        """Give all lines, and then a byte now and then, without end."""
        self.head()
        self.wfile.write(self.body)
        while not self.server.over.is_set():
            self.wfile.write(b"x")
            time.sleep(0.02)

    def log_message(self, *_args: object) -> None:
        pass
