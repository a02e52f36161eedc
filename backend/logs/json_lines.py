"""Lines of JSON, written in as few steps as possible: each request has one."""

from __future__ import annotations

import json
import logging
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

import orjson
import structlog

from backend import log_fields
from backend.logs.line_stream import LogStream
from backend.logs.recent_lines import remember

log = structlog.get_logger(__name__)

_UNREMEMBERED: Final = ("info", "debug")

_AS_STANDARD: Final = orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_PASSTHROUGH_DATETIME


@dataclass
class JsonOutput:
    """What `configure` has set up for lines of JSON."""

    stream: LogStream
    processors: list[structlog.types.Processor] = field(default_factory=list)
    level: int = logging.CRITICAL


json_output = JsonOutput(LogStream(sys.stderr))


def log_request(**fields: object) -> None:
    """Log the line of a request, as structlog's `info` does, with less around it.

    Each request has one. Where structlog is set up otherwise, such as at a terminal, it logs the
    line.
    """
    processors = structlog.get_config()["processors"]
    if processors is not json_output.processors or processors[-1] is not to_line:
        log.info("request", **fields)
    elif json_output.level <= logging.INFO:
        event = log_fields.merge(None, "info", {**fields, "event": "request"})
        json_output.stream.write(f"{to_line(None, 'info', event)}\n")


def to_line(logger: Any, name: str, event: structlog.types.EventDict) -> str:
    """Do at once what the processors after the first one, and the renderer, do by turns."""
    event = structlog.processors.add_log_level(logger, name, event)
    event["timestamp"] = datetime.now(UTC).isoformat().replace("+00:00", "Z")
    if event["level"] not in _UNREMEMBERED:
        remember(logger, name, event)
    if "exc_info" in event:
        event = structlog.processors.format_exc_info(logger, name, event)
    try:
        written = orjson.dumps(event, None, _AS_STANDARD)
    except TypeError:
        written = b"\xff"
    return written.decode() if written.isascii() else str(TO_JSON(logger, name, event))


def write_json(event: structlog.types.EventDict, **options: Any) -> str:
    """Return a line as JSON in ASCII; what orjson does not take is written by the library."""
    with suppress(TypeError):
        written = orjson.dumps(event, options.get("default"), _AS_STANDARD)
        if written.isascii():
            return written.decode()
    return json.dumps(event, **options)


TO_JSON: Final = structlog.processors.JSONRenderer(write_json)
