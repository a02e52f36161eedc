"""An upper limit of the time that statements take, for reads that nobody must wait for."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final, cast

from sqlalchemy import text
from sqlalchemy.orm import Session

from backend.database.dialect import is_postgresql

STEPS: Final = 100_000  # of SQLite's machine between two looks at the clock: below a millisecond


@contextmanager
def bounded(session: Session, *, seconds: float) -> Iterator[None]:
    """Have statements of a session fail with OperationalError if they take longer than this.

    On PostgreSQL it holds for each statement of the transaction, on SQLite for all together.
    """
    if is_postgresql(session):
        limit = {"limit": f"{round(seconds * 1000)}ms"}
        session.execute(text("SELECT set_config('statement_timeout', :limit, true)"), limit)
        yield
        return
    connection = cast("Any", session.connection().connection.driver_connection)
    deadline = time.monotonic() + seconds
    connection.set_progress_handler(lambda: time.monotonic() > deadline, STEPS)
    try:
        yield
    finally:
        connection.set_progress_handler(None, 0)
