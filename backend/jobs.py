"""An operator's long task: written by whoever asks, run by whoever owns what it needs."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any, Final, Protocol, TypeAlias

from sqlalchemy import or_, select, update
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


def run_next(db: Database, handlers: Mapping[str, Handler], *, alone: bool = False) -> bool:
    """Run the oldest job that waits, or whose runner died; return whether there was one.

    `alone`: this process is known to be the only runner, so every running job's runner is dead.
    """
    if not _is_waiting(db, handlers, alone):
        return False
    job = db.write(lambda session: _take(session, handlers, alone))
    if job is None:
        return False
    try:
        result = handlers[job.verb](job.arguments, _reporter(db, job.id))
    except LookalikeError as error:
        _end(db, job.id, state=FAILED, error=f"{error.code}: {error.message}")
    except Exception as error:
        _end(db, job.id, state=FAILED, error=f"{type(error).__name__}: {error}")
        raise
    else:
        _end(db, job.id, state=DONE, result=result)
    return True


def _waiting(handlers: Mapping[str, Handler], alone: bool) -> Any:
    silent = (
        Job.state == RUNNING
        if alone
        else (Job.state == RUNNING) & (Job.heartbeat_at < utcnow() - STALE_AFTER)
    )
    return (
        select(Job)
        .where(or_(Job.state == QUEUED, silent), Job.verb.in_(list(handlers)))
        .order_by(Job.id)
        .limit(1)
    )


def _is_waiting(db: Database, handlers: Mapping[str, Handler], alone: bool) -> bool:
    with db.read() as session:
        return session.scalar(_waiting(handlers, alone)) is not None


def _take(session: Session, handlers: Mapping[str, Handler], alone: bool) -> Job | None:
    job: Job | None = session.scalar(_waiting(handlers, alone).with_for_update(skip_locked=True))
    if job is not None:
        now = utcnow()
        job.state, job.heartbeat_at, job.started_at = RUNNING, now, job.started_at or now
    return job


def _reporter(db: Database, job_id: int) -> Report:
    last = time.monotonic()

    def report(done: int, total: int | None) -> None:
        nonlocal last
        if time.monotonic() - last < REPORT_EVERY_SECONDS:
            return
        last = time.monotonic()
        _update(db, job_id, done=done, total=total, heartbeat_at=utcnow())

    return report


def _end(db: Database, job_id: int, **values: Any) -> None:
    _update(db, job_id, finished_at=utcnow(), **values)


def _update(db: Database, job_id: int, **values: Any) -> None:
    db.write(lambda session: session.execute(update(Job).where(Job.id == job_id).values(**values)))
