"""An operator's long task: written by whoever asks, run by whoever owns what it needs."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any, Final, Protocol, TypeAlias

from sqlalchemy import Select, or_, select, update
from sqlalchemy.orm import Session

from backend.catalogue.database import Database
from backend.catalogue.models import Job, utcnow
from backend.errors import LookalikeError

QUEUED: Final = "queued"
RUNNING: Final = "running"
DONE: Final = "done"
FAILED: Final = "failed"
ENDED: Final = (DONE, FAILED)

STALE_AFTER = timedelta(seconds=60)
"""A running job whose runner has not been heard of for so long is taken over."""

REPORT_EVERY_SECONDS = 0.5


class Report(Protocol):
    """How a running job tells how far it is."""

    def __call__(self, done: int, total: int | None) -> None:
        """Record progress; cheap enough to be called for every chunk."""
        ...


class Interrupted(Exception):
    """The runner has to stop; the job is not over."""


Handler: TypeAlias = Callable[[Mapping[str, Any], Report], dict[str, Any]]
"""Runs one verb: (arguments, report) -> result."""


def write(db: Database, verb: str, arguments: Mapping[str, Any] | None = None) -> int:
    """Ask for a job and return its id."""

    def insert(session: Session) -> int:
        job = Job(verb=verb, arguments=dict(arguments or {}), state=QUEUED)
        session.add(job)
        session.flush()
        return job.id

    return db.write(insert)


def read(db: Database, job_id: int) -> Job | None:
    """Return a job as it stands."""
    with db.read() as session:
        return session.get(Job, job_id)


def run_next(db: Database, handlers: Mapping[str, Handler]) -> bool:
    """Run the oldest job that waits, or whose runner died; return whether there was one.

    A handler that raises Interrupted leaves its job to the next runner. What a domain error says is
    kept with the job; any other exception is too, and goes on to the caller.
    """
    if not _is_waiting(db, handlers):
        return False
    job = db.write(lambda session: _take(session, handlers))
    if job is None:
        return False
    report = _Report(db, job.id)
    try:
        result = handlers[job.verb](job.arguments, report)
    except Interrupted:
        report.write(state=QUEUED)
    except LookalikeError as error:
        report.end(state=FAILED, error=f"{error.code}: {error.message}")
    except Exception as error:
        report.end(state=FAILED, error=f"{type(error).__name__}: {error}")
        raise
    else:
        report.end(state=DONE, result=result)
    return True


def free(db: Database) -> None:
    """Let every running job be taken again. Only for a runner that knows itself to be alone."""
    running = update(Job).where(Job.state == RUNNING).values(state=QUEUED)
    db.write(lambda session: session.execute(running))


def _waiting(handlers: Mapping[str, Handler]) -> Select[Job]:
    silent = (Job.state == RUNNING) & (Job.heartbeat_at < utcnow() - STALE_AFTER)
    return (
        select(Job)
        .where(or_(Job.state == QUEUED, silent), Job.verb.in_(list(handlers)))
        .order_by(Job.id)
        .limit(1)
    )


def _is_waiting(db: Database, handlers: Mapping[str, Handler]) -> bool:
    with db.read() as session:
        return session.scalar(_waiting(handlers)) is not None


def _take(session: Session, handlers: Mapping[str, Handler]) -> Job | None:
    job: Job | None = session.scalar(_waiting(handlers).with_for_update(skip_locked=True))
    if job is not None:
        now = utcnow()
        job.state, job.heartbeat_at, job.started_at = RUNNING, now, job.started_at or now
    return job


class _Report:
    """Writes a running job's progress, but not more often than anyone looks."""

    def __init__(self, db: Database, job_id: int) -> None:
        self._db = db
        self._job_id = job_id
        self._progress: dict[str, int | None] = {}
        self._written = time.monotonic()

    def __call__(self, done: int, total: int | None) -> None:
        self._progress = {"done": done, "total": total}
        if time.monotonic() - self._written >= REPORT_EVERY_SECONDS:
            self.write()

    def write(self, **values: Any) -> None:
        """Write the newest progress, and that the runner lives."""
        self._written = time.monotonic()
        changes = {**self._progress, "heartbeat_at": utcnow(), **values}
        job = update(Job).where(Job.id == self._job_id).values(changes)
        self._db.write(lambda session: session.execute(job))

    def end(self, **values: Any) -> None:
        """Write how the job ended."""
        self.write(finished_at=utcnow(), **values)
