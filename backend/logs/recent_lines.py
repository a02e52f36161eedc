"""The last warnings and errors of this process, kept in memory for the operator's page."""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass
from typing import Any, Final

import structlog

MOST_RECENT: Final = 50
"""Lines of warnings and errors that a process remembers."""

LONGEST_FIELDS: Final = 500  # characters of the fields of a remembered line

_OF_REQUESTS: Final = ("request_id", "client")
_NUMBER: Final = re.compile(r"\d+(?:\.\d+)?")

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


def remember(_logger: Any, _name: str, event: structlog.types.EventDict) -> Any:
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
