"""Setting up the logs of a process."""

from __future__ import annotations

import logging
import sys
import threading
from types import TracebackType

import structlog

from backend import log_fields
from backend.logs.json_lines import TO_JSON, json_output, to_line
from backend.logs.line_stream import LineLogger, LogStream
from backend.logs.recent_lines import remember

log = structlog.get_logger(__name__)

PLAIN_TRACEBACK = structlog.dev.RichTracebackFormatter(show_locals=False)
"""Tracebacks without local variables, which may hold passwords and keys."""


def configure(level: str) -> None:
    """Set up structlog, and the standard library's loggers to look the same."""
    terminal = sys.stderr.isatty()
    shared: list[structlog.types.Processor] = [
        log_fields.merge,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        remember,
    ]
    renderer: structlog.types.Processor = (
        structlog.dev.ConsoleRenderer(exception_formatter=PLAIN_TRACEBACK) if terminal else TO_JSON
    )
    if not terminal:
        shared.append(structlog.processors.format_exc_info)
    number = logging.getLevelNamesMapping()[level.upper()]
    stream = json_output.stream = LogStream(sys.stderr)
    json_output.level = number
    json_output.processors = [log_fields.merge, to_line]
    structlog.configure(
        processors=[*shared, renderer] if terminal else json_output.processors,
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
