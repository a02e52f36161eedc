"""Structured logs on stderr: readable text at a terminal, elsewhere one JSON object a line."""

from __future__ import annotations

import logging
import math
import sys
import threading
import time
from typing import Any, Final

import structlog

REPEAT_SECONDS: Final = 60.0
MOST_SEEN: Final = 1000
"""Errors that are remembered, so that endless different ones need no memory."""

PLAIN_TRACEBACK = structlog.dev.RichTracebackFormatter(show_locals=False)
"""Tracebacks without local variables, which may hold passwords and keys."""


class Repeats:
    """Logs an error once, then at most once a minute, with the number of times. Thread-safe."""

    def __init__(self, log: Any, *, seconds: float = REPEAT_SECONDS) -> None:
        self._log = log
        self._seconds = seconds
        self._lock = threading.Lock()
        self._seen: dict[tuple[object, ...], tuple[float, int]] = {}  # (logged when, since then)

    def log(self, event: str, **fields: object) -> None:
        """Log an error, unless the same event with the same fields was logged a moment ago."""
        key, now = (event, *fields.values()), time.monotonic()
        with self._lock:
            if len(self._seen) > MOST_SEEN:
                self._seen.clear()
            logged, times = self._seen.get(key, (-math.inf, 0))
            is_time = now - logged >= self._seconds
            self._seen[key] = (now, 0) if is_time else (logged, times + 1)
        if is_time and times:
            self._log.error(event, times_since=times + 1, **fields)
        elif is_time:
            self._log.error(event, **fields)


def configure(level: str) -> None:
    """Set up structlog, and the standard library's loggers to look the same."""
    terminal = sys.stderr.isatty()
    shared: list[structlog.types.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    renderer: structlog.types.Processor = (
        structlog.dev.ConsoleRenderer(exception_formatter=PLAIN_TRACEBACK)
        if terminal
        else structlog.processors.JSONRenderer()
    )
    if not terminal:
        shared.append(structlog.processors.format_exc_info)
    number = logging.getLevelNamesMapping()[level.upper()]
    structlog.configure(
        processors=[*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(processor=renderer, foreign_pre_chain=shared)
    )
    logging.basicConfig(level=number, handlers=[handler], force=True)
    logging.getLogger("alembic").setLevel(logging.WARNING)  # it logs every start
