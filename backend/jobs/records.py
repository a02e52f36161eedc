"""The jobs in the database: request one, and read its progress. Nothing is run here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from backend.database import clock
from backend.database.engine import Database
from backend.database.models import Job
from backend.errors import UnknownJob, WrongState

QUEUED: Final = "queued"
RUNNING: Final = "running"
DONE: Final = "done"
FAILED: Final = "failed"
IMPORT: Final = "import"
"""The verb of a job that stores the products that a client has sent."""

ENDED: Final = (DONE, FAILED)

CANCELLED: Final = "cancelled: an operator has ended the job"
"""The error of a job that was cancelled. It counts as failed: an older release knows no other
state in which a job is over."""


LONGEST_ESTIMATE: Final = 30 * 86_400.0
"""Seconds. What would take longer stands still."""


def write(db: Database, verb: str, arguments: Mapping[str, Any] | None = None) -> int:
    """Request a job and return its id."""
    return db.write(lambda session: add(session, verb, arguments)).id


def add(session: Session, verb: str, arguments: Mapping[str, Any] | None = None) -> Job:
    """Request a job within the caller's transaction."""
    now = clock.now(session)
    job = Job(verb=verb, arguments=dict(arguments or {}), state=QUEUED, created_at=now)
    session.add(job)
    session.flush()
    return job


def read(db: Database, job_id: int) -> Job | None:
    """Return a job in its present state, None if there is none with this id."""
    with db.read() as session:
        return session.get(Job, job_id)


def cancel(db: Database, job_id: int) -> Job:
    """Ask for the end of a job. One that is running ends at its next report.

    Raises UnknownJob, and WrongState when the job has ended otherwise.
    """

    def work(session: Session) -> Job:
        job = session.get(Job, job_id, with_for_update=True)
        if job is None:
            raise UnknownJob(f"there is no job {job_id}")
        if job.state in ENDED and job.cancelled_at is None:
            raise WrongState(f"job {job.id} has ended: {job.state}")
        ask_to_end(session, job)
        return job

    return db.write(work)


def ask_to_end(session: Session, job: Job) -> None:
    """End a job that no process is running; one that is running ends at its next report."""
    now = clock.now(session)
    job.cancelled_at = job.cancelled_at or now
    if job.state == QUEUED or job.wake_at is not None:
        job.state, job.error, job.finished_at, job.wake_at = FAILED, CANCELLED, now, None
        job.claim += 1


def unfinished(session: Session, verb: str) -> list[Job]:
    """Return the jobs of a verb that have not ended, the oldest first."""
    rows = select(Job).where(Job.verb == verb, Job.state.not_in(ENDED)).order_by(Job.id)
    return list(session.scalars(rows))


def newest(session: Session, *, before_id: int | None = None, limit: int = 100) -> list[Job]:
    """Return jobs, the newest first."""
    rows = select(Job).order_by(Job.id.desc()).limit(limit)
    if before_id is not None:
        rows = rows.where(Job.id < before_id)
    return list(session.scalars(rows))


def failed(session: Session, *, but: str, limit: int) -> list[Job]:
    """Return jobs that failed and were not cancelled, the newest first, except those of a verb."""
    is_failed = (Job.state == FAILED) & Job.cancelled_at.is_(None) & (Job.verb != but)
    return list(session.scalars(select(Job).where(is_failed).order_by(Job.id.desc()).limit(limit)))


def seconds_left(job: Job) -> float | None:
    """Estimate how long a running job will take, by its rate; None where that is unknown.

    The rate of a job that stands still, as on a full disk, nears 0 and says nothing.
    """
    if job.state != RUNNING or job.total is None or not job.rate:
        return None
    seconds = max(0, job.total - job.done) / job.rate
    return seconds if seconds < LONGEST_ESTIMATE else None
