"""A bucket of a real S3 server, moto's, in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPConnection

from support.servers import free_port, wait_for

SERVE = """
import sys
from moto.server import ThreadedMotoServer
from werkzeug import serving
serving.WSGIRequestHandler.log = lambda *_: None
server = ThreadedMotoServer(ip_address="127.0.0.1", port=int(sys.argv[1]), verbose=False)
server.start()
server._thread.join()
"""
BUCKET = "shop"


class BucketServer:
    """The server's process. What it holds is in its memory, and gone with it."""

    def __init__(self) -> None:
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", SERVE, str(self.port)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        wait_for(self._has_bucket, seconds=60)

    def stop(self) -> None:
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def environment(self, port: int | None = None) -> dict[str, str]:
        """What a client reads from its environment."""
        return {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port or self.port}",
            "AWS_ACCESS_KEY_ID": "key",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_DEFAULT_REGION": "us-east-1",
        }

    def _has_bucket(self) -> bool:
        with suppress(OSError):
            connection = HTTPConnection("127.0.0.1", self.port, timeout=10)
            connection.request("PUT", f"/{BUCKET}")
            return connection.getresponse().status == 200
        return False


@contextmanager
def bucket_server() -> Iterator[BucketServer]:
    server = BucketServer()
    try:
        server.start()
        yield server
    finally:
        server.stop()
