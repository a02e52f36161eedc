"""A running job's progress: what its handler reports, and how that is written to the row."""

from __future__ import annotations

import time
from datetime import datetime
from typing import Any, Final, Protocol

from sqlalchemy import update

from backend.database.engine import Database
from backend.database.models import Job, utcnow

REPORT_EVERY_SECONDS = 0.5
NEWEST_SHARE: Final = 0.3
"""Weight of the newest report in a job's rate."""


class Report(Protocol):
    """Reports the progress of a running job."""

    def __call__(self, done: int, total: int | None) -> None:
        """Record progress; cheap enough to be called for every chunk."""
        ...


class JobReport:
    """Writes a running job's progress, at most every REPORT_EVERY_SECONDS.

    `last_heartbeat` is when an earlier runner of the same job last wrote, None for a new job.
    """

    def __init__(self, db: Database, job: Job, *, last_heartbeat: datetime | None) -> None:
        self._db = db
        self._job_id = job.id
        self._progress: dict[str, int | None] = {}
        self._written = time.monotonic()
        self._rate = _Rate(job, last_heartbeat=last_heartbeat)

    def __call__(self, done: int, total: int | None) -> None:
        """Keep the newest progress; write it if the last write is long enough ago."""
        self._progress = {"done": done, "total": total}
        if time.monotonic() - self._written >= REPORT_EVERY_SECONDS:
            self.write()

    def write(self, **values: Any) -> None:
        """Write the newest progress, a heartbeat, and `values`."""
        self._written = time.monotonic()
        now = utcnow()
        rate = self._rate.after(self._progress.get("done"), now)
        changes = {**self._progress, "rate": rate, "heartbeat_at": now, **values}
        job = update(Job).where(Job.id == self._job_id).values(changes)
        self._db.write(lambda session: session.execute(job))

    def end(self, **values: Any) -> None:
        """Write how the job ended."""
        self.write(finished_at=utcnow(), **values)


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
