"""Wait until the database answers, and check that it has our tables."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Final

import structlog
from sqlalchemy.exc import SQLAlchemyError

from backend.database import migrate
from backend.database.engine import Database
from backend.database.failures import meaning_of, why
from backend.errors import ConfigurationError, DatabaseBusy, DatabaseUnavailable

log = structlog.get_logger(__name__)

FIRST_DELAY: Final = 1.0
LONGEST_DELAY: Final = 30.0
"""Between two tries. The delay doubles."""

SLICE_SECONDS: Final = 0.5


def check(db: Database) -> None:
    """Migrate an embedded database; another one has to be current.

    Raises ConfigurationError when a database server lacks a migration, and what the driver raises.
    """
    if db.is_read_only:
        if not migrate.is_current(db):
            raise ConfigurationError(
                "the database was made by an older release and cannot be written here: "
                "start this release once where the database can be written"
            )
    elif db.is_sqlite:
        migrate.migrate(db)
    elif not migrate.is_current(db):
        raise ConfigurationError("the database lacks a migration: run `lookalike migrate`")


class Arrival:
    """Waits for a database: `problem` says what is wrong as long as it cannot be used."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._tries = 0
        self.problem: str | None = "has not been asked yet"

    def try_once(self) -> bool:
        """Check the database; return whether it answered. One that does not is logged.

        Raises what `check` raises, except where a retry may help.
        """
        self._tries += 1
        try:
            check(self._db)
        except SQLAlchemyError as error:
            if not isinstance(meaning_of(error), DatabaseUnavailable | DatabaseBusy):
                raise
            self.problem = f"does not answer: {why(error)}"
            return False
        self.problem = None
        return True

    def wait(
        self,
        *,
        is_stopping: Callable[[], bool] = lambda: False,
        heartbeat: Callable[[], None] = lambda: None,
    ) -> bool:
        """Try again until the database can be used, with one log line per try.

        Returns False when the process has to stop first. It also waits for a missing migration:
        another process may be about to run it.
        """
        for delay in _delays():
            try:
                if self.try_once():
                    return True
            except ConfigurationError as error:
                self.problem = error.message
            log.warning("the database cannot be used", error=self.problem, retry_seconds=delay)
            until = time.monotonic() + delay
            while time.monotonic() < until:
                if is_stopping():
                    return False
                heartbeat()
                time.sleep(min(SLICE_SECONDS, delay))
        raise AssertionError("unreachable")


def _delays() -> Iterator[float]:
    delay = FIRST_DELAY
    while True:
        yield delay
        delay = min(2 * delay, LONGEST_DELAY)
