"""A running job's progress and signs of life, written to its row as long as it is ours."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any, Final, Protocol

import structlog
from sqlalchemy import update
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.orm import Session

from backend.database import clock
from backend.database.engine import Database
from backend.database.models import Job
from backend.errors import DatabaseUnavailable
from backend.jobs.records import QUEUED
from backend.own_threads import start_thread

log = structlog.get_logger(__name__)

REPORT_EVERY_SECONDS = 0.5
HEARTBEAT_SECONDS = 10.0
"""Seconds between signs of life while the handler of a job gives none, for example while it loads a
network."""

AGAIN_SECONDS: Final = 1.0
"""Between two tries to give a job back to a database that does not answer."""

STALE_AFTER: Final = timedelta(seconds=60)
"""A running job is run again elsewhere when its heartbeat is older than this."""

NEWEST_SHARE: Final = 0.3
"""Weight of the newest report in a job's rate."""


class Superseded(Exception):
    """Another process has taken over the job: this one must change nothing of it."""


class ThreadRefused(Exception):
    """The host starts no thread that signals the job's life; it may do so later."""


class Cancelled(Exception):
    """An operator has asked for the end of the job."""


class Report(Protocol):
    """Reports the progress of a running job."""

    def __call__(self, done: int, total: int | None) -> None:
        """Record progress; cheap enough to be called for every chunk.

        Raises Superseded and Cancelled, which a handler lets through.
        """
        ...


class JobReport:
    """Writes a running job's progress, at most every REPORT_EVERY_SECONDS, under its claim.

    `last_heartbeat` is when an earlier runner of the same job last wrote, None for a new job.
    """

    def __init__(self, db: Database, job: Job, *, last_heartbeat: datetime | None) -> None:
        self._db = db
        self._ours = (Job.id == job.id) & (Job.claim == job.claim)
        self._progress: dict[str, int | None] = {}
        self._written = time.monotonic()
        self._rate = _Rate(job, last_heartbeat=last_heartbeat)
        self._ended: type[Superseded | Cancelled] | None = None  # as the thread found it

    def __call__(self, done: int, total: int | None) -> None:
        """Keep the newest progress; write it if the last write is long enough ago."""
        if self._ended:
            raise self._ended
        self._progress = {"done": done, "total": total}
        if time.monotonic() - self._written >= REPORT_EVERY_SECONDS and self.write():
            raise Cancelled

    def write(self, *, wake_after: timedelta | None = None, **values: Any) -> bool:
        """Write the newest progress, a heartbeat, and `values`; return whether it is cancelled.

        Raises Superseded.
        """
        self._written = time.monotonic()

        def work(session: Session) -> bool:
            now = clock.now(session)
            rate = self._rate.after(self._progress.get("done"), now)
            changes = {**self._progress, "rate": rate, "heartbeat_at": now, **values}
            if wake_after is not None:
                changes["wake_at"] = now + wake_after
            return self._update(session, changes)

        return self._db.write(work)

    def give_back(self) -> None:
        """Queue the job again. Where the database is away, a thread does it when it answers.

        Raises Superseded, if the database answers now.
        """
        try:
            self.write(state=QUEUED)
        except (SQLAlchemyError, DatabaseUnavailable):
            start_thread(self._give_back_later, name="job")

    def _give_back_later(self) -> None:
        until = time.monotonic() + STALE_AFTER.total_seconds()  # then any process takes it
        while time.monotonic() < until:
            time.sleep(AGAIN_SECONDS)
            try:
                self.write(state=QUEUED)
            except (SQLAlchemyError, DatabaseUnavailable):
                continue
            except Superseded:
                pass
            return

    def end(self, **values: Any) -> None:
        """Write how the job ended. Raises Superseded."""
        self._db.write(
            lambda session: self._update(
                session, {**self._progress, "finished_at": clock.now(session), **values}
            )
        )

    @contextmanager
    def alive(self) -> Iterator[None]:
        """Signal life from a thread meanwhile. Raises ThreadRefused."""
        over = threading.Event()
        thread = start_thread(self._beat, over, name="job")
        if thread is None:
            raise ThreadRefused
        try:
            yield
        finally:
            over.set()
            thread.join()

    def _beat(self, over: threading.Event) -> None:
        while not over.wait(HEARTBEAT_SECONDS):
            try:
                is_cancelled = self._db.write(
                    lambda session: self._update(session, {"heartbeat_at": clock.now(session)})
                )
            except Superseded:
                self._ended = Superseded
                return
            except DBAPIError as error:
                log.warning("a job cannot signal life", error=str(error.orig))
            else:
                self._ended = Cancelled if is_cancelled else None

    def _update(self, session: Session, changes: dict[str, Any]) -> bool:
        """Change the job if it is still ours; return whether an operator wants it to end."""
        ours = update(Job).where(self._ours).values(changes).returning(Job.cancelled_at)
        rows = session.execute(ours, execution_options={"synchronize_session": False}).all()
        if not rows:
            raise Superseded
        return rows[0].cancelled_at is not None


class _Rate:
    """How fast a job is at present: a moving average over its reports."""

    def __init__(self, job: Job, *, last_heartbeat: datetime | None) -> None:
        self._value = job.rate
        self._done = job.done
        self._at = last_heartbeat

    def after(self, done: int | None, now: datetime) -> float | None:
        """Return the rate, a second, including this report."""
        if done is None:
            return self._value
        if self._at is None or done < self._done:
            self._done, self._at = done, now  # what was done before is not this run's work
        elif (seconds := (now - self._at).total_seconds()) >= REPORT_EVERY_SECONDS:
            rate = (done - self._done) / seconds
            old = rate if self._value is None else self._value
            self._value = old + NEWEST_SHARE * (rate - old)
            self._done, self._at = done, now
        return self._value
