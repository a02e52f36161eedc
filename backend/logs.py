"""Structured logs on stderr: readable text at a terminal, elsewhere one JSON object a line."""

from __future__ import annotations

import logging
import sys

import structlog

PLAIN_TRACEBACK = structlog.dev.RichTracebackFormatter(show_locals=False)
"""Tracebacks without local variables, which may hold passwords and keys."""


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
