"""Where lines are written: one that cannot be written is lost, and fails nobody's request."""

from __future__ import annotations

from contextlib import suppress
from typing import TextIO


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
