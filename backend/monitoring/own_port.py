"""`/metrics` on a port of its own, where no key is needed."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

import structlog

from backend.errors import ConfigurationError
from backend.monitoring.exposition import Exposition
from backend.settings import Settings

log = structlog.get_logger(__name__)

RETRY_SECONDS: Final = 2.0
CLIENT_SECONDS: Final = 10.0


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        """Log what a request ended with as all else is logged: in one line."""
        error = sys.exception()
        if isinstance(error, ConnectionError):
            log.debug("a metrics request ended early", client=client_address[0], error=str(error))
        else:
            log.error("a metrics request failed", client=client_address[0], exc_info=error)


class MetricsServer:
    """Answers `GET /metrics` in a thread."""

    def __init__(self, exposition: Exposition, *, host: str, port: int) -> None:
        """Bind the port; port 0 is any. Raises ConfigurationError if it is taken."""
        try:
            self._server = _Server((host, port), _handler_of(exposition))
        except OSError as error:
            raise ConfigurationError(
                f"cannot show metrics on {host}:{port}: {error.strerror}"
            ) from None
        self.port: int = self._server.server_port
        self._thread = threading.Thread(
            target=self._server.serve_forever, name="metrics server", daemon=True
        )

    def start(self) -> None:
        """Start the thread."""
        log.info("metrics", url=f"http://{self._server.server_name}:{self.port}/metrics")
        self._thread.start()

    def stop(self) -> None:
        """Close the port."""
        if self._thread.ident:
            self._server.shutdown()
        self._server.server_close()


def show_apart(
    exposition: Exposition, settings: Settings, *, retry_seconds: float = RETRY_SECONDS
) -> None:
    """Answer on LOOKALIKE_METRICS_PORT, in a thread, as soon as that port is free.

    Of several API processes one has the port; another takes it when that one ends.
    """
    make = partial(
        MetricsServer, exposition, host=settings.metrics_host, port=settings.metrics_port or 0
    )
    threading.Thread(
        target=_take_port, args=(make, retry_seconds), name="metrics port", daemon=True
    ).start()


def _take_port(make: Callable[[], MetricsServer], retry_seconds: float) -> None:
    warned = False
    while True:
        try:
            return make().start()
        except ConfigurationError as error:
            if not warned:
                log.info("another process may have the port", error=error.message)
            warned = True
            time.sleep(retry_seconds)


def _handler_of(exposition: Exposition) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = CLIENT_SECONDS  # for a client that is silent

        def do_GET(self) -> None:
            if self.path.partition("?")[0] != "/metrics":
                self.send_error(HTTPStatus.NOT_FOUND, "only /metrics is here")
                return
            body, media_type = exposition.encode(self.headers.get("Accept", ""))
            self.send_response(HTTPStatus.OK)
            self.send_header("Content-Type", media_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            log.debug("metrics request", client=self.address_string(), line=format % args)

    return Handler
