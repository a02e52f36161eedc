"""Each request has an id and one line in the log."""

from __future__ import annotations

import os
import re
import time
from functools import partial
from typing import Final

import structlog
from flask import Flask, Response

from backend import log_fields
from backend.api.context import request_notes, this_request
from backend.logs import log_request

log = structlog.get_logger(__name__)

HEADER: Final = "X-Request-Id"
IN_ENVIRON: Final = "HTTP_X_REQUEST_ID"
PROBES: Final = ("/livez", "/readyz", "/metrics")
PARTS_OF_PAGES: Final = ("web_static.show_file", "web_thumbnails.show_thumbnail")
"""What one web page asks for dozens of times. As the probes, it is logged only if it fails."""

_ACCEPTABLE: Final = re.compile(r"[A-Za-z0-9._:+/=-]{1,128}")


def register_request_log(app: Flask) -> None:
    """Give every request of an app an id, the client's or a new one; log the request at its end."""
    app.before_request(_begin)
    app.after_request(_end)


def choose_id(sent: str) -> str:
    """Return the id of a request: the one that its client has sent, if it can be one."""
    return sent if _ACCEPTABLE.fullmatch(sent) else os.urandom(16).hex()


def _begin() -> None:
    begun, notes = this_request(), request_notes()
    notes.request_id = choose_id(begun.environ.get(IN_ENVIRON, ""))
    notes.began = time.perf_counter()
    log_fields.begin(request_id=notes.request_id, client=begun.remote_addr)


def _end(response: Response) -> Response:
    ended = this_request()
    response.headers[HEADER] = request_notes().request_id
    often = ended.path in PROBES or ended.endpoint in PARTS_OF_PAGES
    quiet = often and response.status_code < 400
    (partial(log.debug, "request") if quiet else log_request)(
        method=ended.method,
        path=ended.path,
        route=ended.url_rule.rule if ended.url_rule else None,
        status=response.status_code,
        ms=took_ms(),
        bytes=response.content_length,
    )
    log_fields.end()  # what this thread logs next is of no request
    return response


def took_ms() -> float:
    """Return how long this request has been running, in milliseconds."""
    began: float = request_notes().began
    return round((time.perf_counter() - began) * 1000, 1)
