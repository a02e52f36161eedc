"""Structured logs on stderr: readable text at a terminal, elsewhere one JSON object a line.

A line of a request, also one of Celery's messages on behalf of a request, carries the request's id
and the client's address (`log_fields`). Reading order: `configuring`, `json_lines`, `line_stream`.
"""

from backend.logs.configuring import configure, log_uncaught_errors
from backend.logs.json_lines import log_request, write_json
from backend.logs.recent_lines import MOST_RECENT, RECENT, RecentLine, recent
from backend.logs.repeats import Repeats
from backend.logs.run_log import RunLog

__all__ = [
    "MOST_RECENT",
    "RECENT",
    "RecentLine",
    "Repeats",
    "RunLog",
    "configure",
    "log_request",
    "log_uncaught_errors",
    "recent",
    "write_json",
]
