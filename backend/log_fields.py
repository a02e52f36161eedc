"""What all log lines of one request say: its id, its client, its key.

In one context variable, not in one for each field as structlog has it: every request has a line,
and to find these among all variables took as long as to write it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from types import MappingProxyType
from typing import Any, Final

from structlog.types import EventDict

_NOTHING: Final[Mapping[str, Any]] = MappingProxyType({})

_fields: Final[ContextVar[Mapping[str, Any]]] = ContextVar("log_fields", default=_NOTHING)


def begin(**fields: object) -> None:
    """Let the lines of this context say these fields, and no others that were set before."""
    _fields.set(fields)


def add(**fields: object) -> None:
    """Let them say further fields."""
    _fields.set({**_fields.get(), **fields})


def end() -> None:
    """Let them say no more than their own fields."""
    _fields.set(_NOTHING)


def current() -> Mapping[str, Any]:
    """Return what the lines of this context say."""
    return _fields.get()


@contextmanager
def added(**fields: object) -> Iterator[None]:
    """Let them say further fields until the end of the `with`."""
    token = _fields.set({**_fields.get(), **fields})
    try:
        yield
    finally:
        _fields.reset(token)


def merge(_logger: Any, _name: str, event: EventDict) -> EventDict:
    """Add the fields to a line whose own fields go first; a processor of structlog."""
    for name, value in _fields.get().items():
        event.setdefault(name, value)
    return event
