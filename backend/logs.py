"""Structured logs on stderr: readable text at a terminal, elsewhere one JSON object a line.

A line of a request, also one of Celery's messages on behalf of a request, carries the request's id
and the client's address (`log_fields`).
"""

from __future__ import annotations

import json
import logging
import math
import re
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Final, TextIO

import orjson
import structlog

from backend import log_fields

log = structlog.get_logger(__name__)

REPEAT_SECONDS: Final = 60.0
MOST_SEEN: Final = 1000
"""Errors that are remembered, so that endless different ones need no memory."""

PLAIN_TRACEBACK = structlog.dev.RichTracebackFormatter(show_locals=False)
"""Tracebacks without local variables, which may hold passwords and keys."""

PROGRESS_SECONDS: Final = 30.0
"""Between two lines about one long run."""

MOST_RECENT: Final = 50
"""Lines of warnings and errors that a process remembers."""

LONGEST_FIELDS: Final = 500  # characters of the fields of a remembered line

_OF_REQUESTS: Final = ("request_id", "client")
_NUMBER: Final = re.compile(r"\d+(?:\.\d+)?")

_UNREMEMBERED: Final = ("info", "debug")

_AS_STANDARD: Final = orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_PASSTHROUGH_DATETIME

_NO_FIELDS: Final = frozenset(
    ("event", "level", "timestamp", "exc_info", "stack_info", "_record", "_from_structlog")
)


@dataclass(frozen=True, kw_only=True)
class RecentLine:
    """A warning or an error that this process has logged."""

    at: str  # ISO 8601, in UTC
    level: str
    event: str
    fields: str  # name=value, separated by spaces
    times: int = 1  # how often it was logged: this is the last one


RECENT: Final[dict[tuple[str, ...], RecentLine]] = {}
"""What `recent` returns, the oldest first, by what lines have in common."""

_recent_lock = threading.Lock()


def recent() -> list[RecentLine]:
    """Return the last warnings and errors of this process, the newest first."""
    with _recent_lock:
        return list(reversed(RECENT.values()))


def _remember(_logger: Any, _name: str, event: structlog.types.EventDict) -> Any:
    """Keep a line for `recent`; a processor of structlog, which changes nothing.

    A line that differs in numbers or in the request alone takes the place of the one before: or
    the requests of one outage would leave no room for what else went wrong.
    """
    if event["level"] in ("warning", "error", "critical"):
        fields = {name: value for name, value in event.items() if name not in _NO_FIELDS}
        common = " ".join(f"{name}={fields[name]}" for name in fields if name not in _OF_REQUESTS)
        key = (event["level"], *(_NUMBER.sub("0", it) for it in (str(event["event"]), common)))
        text = " ".join(f"{name}={value}" for name, value in fields.items())
        with _recent_lock:
            before = RECENT.pop(key, None)
            RECENT[key] = RecentLine(
                at=str(event["timestamp"]),
                level=event["level"],
                event=str(event["event"]),
                fields=text[:LONGEST_FIELDS],
                times=before.times + 1 if before else 1,
            )
            if len(RECENT) > MOST_RECENT:
                del RECENT[next(iter(RECENT))]
    return event


class LogStream:
    """A stream whose lines are lost where they cannot be written: on a full disk, a closed pipe.

    Nobody's request fails because of its line in the log.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write a text, or lose it; return its length."""
        try:  # noqa: SIM105  # `suppress` takes longer, and each request has a line
            self._stream.write(text)
        except (OSError, ValueError):
            pass
        return len(text)

    def flush(self) -> None:
        """Hand on what was written, or lose it."""
        with suppress(OSError, ValueError):
            self._stream.flush()


class LineLogger:
    """Writes each line whole, whatever its level: what structlog hands its rendered lines to."""

    def __init__(self, stream: LogStream) -> None:
        self._stream = stream

    def __call__(self, *_names: object) -> LineLogger:
        """Return the logger itself: it is its own factory, since it keeps nothing."""
        return self

    def msg(self, text: str) -> None:
        """Write a line."""
        self._stream.write(f"{text}\n")

    log = debug = info = warning = warn = error = critical = fatal = exception = failure = err = msg


class Repeats:
    """Logs an error once, then at most once a minute, with the number of times. Thread-safe."""

    def __init__(self, log: Any, *, seconds: float = REPEAT_SECONDS, level: str = "error") -> None:
        self._log = log
        self._level = level
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
            fields["times_since"] = times + 1
        if is_time:
            getattr(self._log, self._level)(event, **fields)


def configure(level: str) -> None:
    """Set up structlog, and the standard library's loggers to look the same."""
    terminal = sys.stderr.isatty()
    shared: list[structlog.types.Processor] = [
        log_fields.merge,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _remember,
    ]
    renderer: structlog.types.Processor = (
        structlog.dev.ConsoleRenderer(exception_formatter=PLAIN_TRACEBACK) if terminal else _TO_JSON
    )
    if not terminal:
        shared.append(structlog.processors.format_exc_info)
    number = logging.getLevelNamesMapping()[level.upper()]
    stream = _json_lines.stream = LogStream(sys.stderr)
    _json_lines.level = number
    _json_lines.processors = [log_fields.merge, _to_line]
    structlog.configure(
        processors=[*shared, renderer] if terminal else _json_lines.processors,
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=LineLogger(stream),
    )
    handler = logging.StreamHandler(stream)
    foreign: list[structlog.types.Processor] = [
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(),
        *shared,
    ]
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(processor=renderer, foreign_pre_chain=foreign)
    )
    logging.basicConfig(level=number, handlers=[handler], force=True)
    logging.getLogger("alembic").setLevel(logging.WARNING)  # it logs every start
    _take_over_other_handlers()


def log_request(**fields: object) -> None:
    """Log the line of a request, as structlog's `info` does, with less around it.

    Each request has one. Where structlog is set up otherwise, such as at a terminal, it logs the
    line.
    """
    processors = structlog.get_config()["processors"]
    if processors is not _json_lines.processors or processors[-1] is not _to_line:
        log.info("request", **fields)
    elif _json_lines.level <= logging.INFO:
        event = log_fields.merge(None, "info", {**fields, "event": "request"})
        _json_lines.stream.write(f"{_to_line(None, 'info', event)}\n")


@dataclass
class _JsonLines:
    """What `configure` has set up for lines of JSON."""

    stream: LogStream
    processors: list[structlog.types.Processor] = field(default_factory=list)
    level: int = logging.CRITICAL


_json_lines = _JsonLines(LogStream(sys.stderr))


def _to_line(logger: Any, name: str, event: structlog.types.EventDict) -> str:
    """Do at once what the processors after the first one, and the renderer, do by turns."""
    event = structlog.processors.add_log_level(logger, name, event)
    event["timestamp"] = datetime.now(UTC).isoformat().replace("+00:00", "Z")
    if event["level"] not in _UNREMEMBERED:
        _remember(logger, name, event)
    if "exc_info" in event:
        event = structlog.processors.format_exc_info(logger, name, event)
    try:
        written = orjson.dumps(event, None, _AS_STANDARD)
    except TypeError:
        written = b"\xff"
    return written.decode() if written.isascii() else str(_TO_JSON(logger, name, event))


def write_json(event: structlog.types.EventDict, **options: Any) -> str:
    """Return a line as JSON in ASCII; what orjson does not take is written by the library."""
    with suppress(TypeError):
        written = orjson.dumps(event, options.get("default"), _AS_STANDARD)
        if written.isascii():
            return written.decode()
    return json.dumps(event, **options)


_TO_JSON: Final = structlog.processors.JSONRenderer(write_json)


def _take_over_other_handlers() -> None:
    """Have libraries that brought handlers of their own write as all others do."""
    for logger in logging.root.manager.loggerDict.values():
        if isinstance(logger, logging.Logger) and logger.handlers:
            logger.handlers.clear()
            logger.propagate = True


def log_uncaught_errors() -> None:
    """Log what would end the process or a thread with a plain traceback, and Python's warnings.

    For a process that runs by itself. A command shows its errors to whoever started it.
    """
    sys.excepthook = _log_uncaught
    threading.excepthook = _log_uncaught_in_thread
    logging.captureWarnings(capture=True)


def _log_uncaught(
    kind: type[BaseException], error: BaseException, traceback: TracebackType | None
) -> None:
    if issubclass(kind, KeyboardInterrupt):
        return
    log.critical("the process ends by an error", exc_info=(kind, error, traceback))


def _log_uncaught_in_thread(arguments: threading.ExceptHookArgs) -> None:
    name = arguments.thread.name if arguments.thread else None
    error = (arguments.exc_type, arguments.exc_value, arguments.exc_traceback)
    log.error("a thread ended by an error", thread=name, exc_info=error)


class RunLog:
    """The lines of one long run: that it started, how far it is now and then, how it ended."""

    def __init__(self, event: str, **about: object) -> None:
        self._event = event
        self._log = log.bind(**about)
        self._began = self._told = time.monotonic()
        self._log.info(f"{event} started")

    def progress(self, **counts: object) -> None:
        """Tell how far the run is, at most every PROGRESS_SECONDS."""
        if time.monotonic() - self._told >= PROGRESS_SECONDS:
            self._told = time.monotonic()
            self._log.info(f"{self._event} goes on", seconds=self._seconds(), **counts)

    def end(self, **counts: object) -> None:
        """Tell how the run ended."""
        self._log.info(f"{self._event} ended", seconds=self._seconds(), **counts)

    def fail(self, error: BaseException) -> None:
        """Tell that the run ended by an error."""
        reason = str(error) or type(error).__name__
        self._log.warning(f"{self._event} failed", seconds=self._seconds(), error=reason)

    def _seconds(self) -> float:
        return round(time.monotonic() - self._began, 1)
