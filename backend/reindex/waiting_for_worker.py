"""A re-index that needs a worker's network waits for it as a job: its process does other work."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any, Final

import structlog

from backend.database import clock
from backend.database.engine import Database
from backend.errors import EmbedderBusy
from backend.jobs import Waiting

log = structlog.get_logger(__name__)

WORKER_LOADS: Final = timedelta(seconds=60)
"""How long an interactive worker may take to load another network."""

ASK_SECONDS: Final = 1.0
"""Between two tries to reach it."""

SINCE: Final = "asking_since"
"""The argument of the job that says when it was asked first."""


@contextmanager
def wait_for_worker(db: Database, arguments: Mapping[str, Any]) -> Iterator[None]:
    """Raise Waiting in place of EmbedderBusy for as long as a worker may be loading a network.

    EmbedderBusy is raised after that time, or at once if a worker answered that it cannot embed.
    """
    try:
        yield
    except EmbedderBusy as error:
        with db.read() as session:
            now = clock.now(session)
        since = datetime.fromisoformat(arguments.get(SINCE, now.isoformat()))
        if "cause" in error.context or now - since >= WORKER_LOADS:
            raise
        if SINCE not in arguments:
            log.info("a re-index waits for an interactive worker", reason=error.message)
        asked = {**arguments, SINCE: since.isoformat()}
        raise Waiting(seconds=ASK_SECONDS, arguments=asked) from None


def without_waiting(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return a job's arguments after a worker's answer: the next wait has its own limit."""
    return {name: value for name, value in arguments.items() if name != SINCE}
