"""An operator's long task: written by whoever asks, run by whoever owns what it needs."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, Final, Protocol, TypeAlias

from sqlalchemy import Select, or_, select, update
from sqlalchemy.orm import Session

from backend.database.engine import Database
from backend.database.models import Job, utcnow
from backend.errors import LookalikeError

QUEUED: Final = "queued"
RUNNING: Final = "running"
DONE: Final = "done"
FAILED: Final = "failed"
ENDED: Final = (DONE, FAILED)

STALE_AFTER = timedelta(seconds=60)
"""A running job whose runner has not been heard of for so long is taken over."""

REPORT_EVERY_SECONDS = 0.5
NEWEST_SHARE: Final = 0.3
"""Weight of the newest report in a job's rate."""


class Report(Protocol):
    """How a running job tells how far it is."""

    def __call__(self, done: int, total: int | None) -> None:
        """Record progress; cheap enough to be called for every chunk."""
        ...


class Interrupted(Exception):
    """The runner has to stop; the job is not over."""


class Waiting(Exception):
    """The job has nothing to do for a while, because the queue does the work.

    Its runner goes on to other things; whoever can run it looks at it again after some `seconds`.
    `arguments` and `result` are kept with the job: what it has to remember, and what it can tell.
    """

    def __init__(
        self,
        *,
        seconds: float = 1,
        arguments: Mapping[str, Any] | None = None,
        result: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.seconds = seconds
        self.values: dict[str, Any] = {}
        if arguments is not None:
            self.values["arguments"] = dict(arguments)
        if result is not None:
            self.values["result"] = dict(result)


Handler: TypeAlias = Callable[[Mapping[str, Any], Report], dict[str, Any]]
"""Runs one verb: (arguments, report) -> result."""


def write(db: Database, verb: str, arguments: Mapping[str, Any] | None = None) -> int:
    """Ask for a job and return its id."""
    return db.write(lambda session: add(session, verb, arguments)).id


def add(session: Session, verb: str, arguments: Mapping[str, Any] | None = None) -> Job:
    """Ask for a job in a transaction of the caller's."""
    job = Job(verb=verb, arguments=dict(arguments or {}), state=QUEUED)
    session.add(job)
    session.flush()
    return job


def unfinished(session: Session, verb: str) -> Job | None:
    """Return the oldest job of a verb that is not over."""
    return session.scalar(
        select(Job).where(Job.verb == verb, Job.state.not_in(ENDED)).order_by(Job.id).limit(1)
    )


def newest(session: Session, *, before_id: int | None = None, limit: int = 100) -> list[Job]:
    """Return jobs, the newest first."""
    rows = select(Job).order_by(Job.id.desc()).limit(limit)
    if before_id is not None:
        rows = rows.where(Job.id < before_id)
    return list(session.scalars(rows))


def seconds_left(job: Job) -> float | None:
    """Estimate how long a running job will take, by its rate; None where that is unknown."""
    if job.state != RUNNING or job.total is None or not job.rate:
        return None
    return max(0, job.total - job.done) / job.rate


def read(db: Database, job_id: int) -> Job | None:
    """Return a job as it stands."""
    with db.read() as session:
        return session.get(Job, job_id)


def run_next(db: Database, handlers: Mapping[str, Handler]) -> bool:
    """Run the oldest job that waits, or whose runner died; return whether there was work to do.

    A handler that raises Interrupted leaves its job to the next runner, one that raises Waiting to
    whoever looks later. What a domain error says is
    kept with the job; any other exception is too, and goes on to the caller.
    """
    if not _is_waiting(db, handlers):
        return False
    taken = db.write(lambda session: _take(session, handlers))
    if taken is None:
        return False
    job, heard = taken
    report = _Report(db, job, heard=heard)
    try:
        result = handlers[job.verb](job.arguments, report)
    except Interrupted:
        report.write(state=QUEUED)
    except Waiting as wait:
        report.write(wake_at=utcnow() + timedelta(seconds=wait.seconds), **wait.values)
        return False
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
    running = update(Job).where(Job.state == RUNNING).values(state=QUEUED, wake_at=None)
    db.write(lambda session: session.execute(running))


def _waiting(handlers: Mapping[str, Handler]) -> Select[Job]:
    now = utcnow()
    awake = Job.wake_at <= now
    silent = Job.wake_at.is_(None) & (Job.heartbeat_at < now - STALE_AFTER)
    ready = or_(Job.state == QUEUED, (Job.state == RUNNING) & or_(awake, silent))
    return (
        select(Job)
        .where(ready, Job.verb.in_(list(handlers)))
        .order_by(Job.wake_at.is_not(None), Job.id)
        .limit(1)
    )


def _is_waiting(db: Database, handlers: Mapping[str, Handler]) -> bool:
    with db.read() as session:
        return session.scalar(_waiting(handlers)) is not None


def _take(session: Session, handlers: Mapping[str, Handler]) -> tuple[Job, datetime | None] | None:
    """Take the next job; return it, and when it was last heard of."""
    job: Job | None = session.scalar(_waiting(handlers).with_for_update(skip_locked=True))
    if job is None:
        return None
    now, heard = utcnow(), job.heartbeat_at
    job.state, job.heartbeat_at, job.started_at = RUNNING, now, job.started_at or now
    job.wake_at = None
    return job, heard


class _Report:
    """Writes a running job's progress, but not more often than anyone looks."""

    def __init__(self, db: Database, job: Job, *, heard: datetime | None) -> None:
        self._db = db
        self._job_id = job.id
        self._progress: dict[str, int | None] = {}
        self._written = time.monotonic()
        self._rate = _Rate(job, heard=heard)

    def __call__(self, done: int, total: int | None) -> None:
        self._progress = {"done": done, "total": total}
        if time.monotonic() - self._written >= REPORT_EVERY_SECONDS:
            self.write()

    def write(self, **values: Any) -> None:
        """Write the newest progress, and that the runner lives."""
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
    """How fast a job goes lately: a moving average over its reports."""

    def __init__(self, job: Job, *, heard: datetime | None) -> None:
        self._value = job.rate
        self._done = job.done
        self._at = heard

    def after(self, done: int | None, now: datetime) -> float | None:
        """Return the rate, a second, with this report taken in."""
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
