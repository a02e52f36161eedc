"""Run jobs, one at a time, in the process that owns what they need."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, Final, TypeAlias

import structlog
from sqlalchemy import Select, or_, select, update
from sqlalchemy.orm import Session

from backend.database import clock
from backend.database.engine import Database
from backend.database.failures import meaning_of
from backend.database.models import Job
from backend.errors import (
    DatabaseBusy,
    DatabaseFull,
    DatabaseLocked,
    DatabaseReadOnly,
    DatabaseTooSlow,
    DatabaseUnavailable,
    LookalikeError,
)
from backend.jobs.records import CANCELLED, DONE, FAILED, QUEUED, RUNNING
from backend.jobs.reporting import (
    STALE_AFTER,
    Cancelled,
    JobReport,
    Report,
    Superseded,
    ThreadRefused,
)

log = structlog.get_logger(__name__)

Handler: TypeAlias = Callable[[Mapping[str, Any], Report], dict[str, Any]]
"""Runs one verb: (arguments, report) -> result."""

PASSING: Final = (
    DatabaseUnavailable,
    DatabaseBusy,
    DatabaseFull,
    DatabaseLocked,
    DatabaseReadOnly,
)
"""States of a database that end without the job: a server that was replaced by its standby can only
be read for some seconds, and connections are used up while another program has them."""


REFUSED_WAITS: Final = timedelta(seconds=5)
"""How long a job waits when the host refuses the thread that signals its life."""


class Interrupted(Exception):
    """Raised by a handler: the process has to stop, and the job has not ended."""


class Waiting(Exception):
    """Raised by a handler: the job has to wait, because the queue does the work.

    After `seconds`, any process that can run the job calls its handler again. `arguments` (what
    the next call needs) and `result` (what is shown meanwhile) are stored with the job.
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


def run_next(db: Database, handlers: Mapping[str, Handler]) -> bool:
    """Run the oldest job that waits, or whose process died; return whether there was work to do.

    A job whose handler raises Interrupted or Waiting is run again later, and so is one whose
    database went away or has no room, which is raised too. Any other exception ends the job, which
    stores the message; if it is not a LookalikeError, it is raised too. Where another process has
    taken the job over meanwhile, nothing is stored.
    """
    with db.read() as session:
        if session.scalar(_first_ready(handlers, clock.now(session))) is None:
            return False
    taken = db.write(lambda session: _take(session, handlers))
    if taken is None:
        return False
    job, last_heartbeat = taken
    report = JobReport(db, job, last_heartbeat=last_heartbeat)
    try:
        try:
            return _run(job, handlers[job.verb], report)
        except ThreadRefused:
            report.write(wake_after=REFUSED_WAITS)
            return False
    except Superseded:
        log.warning("another process has taken over a job", job=job.id, verb=job.verb)
        return True


def _run(job: Job, handler: Handler, report: JobReport) -> bool:
    """Run a job that was taken, and write its outcome; return whether it did work."""
    try:
        with report.alive():
            if job.cancelled_at is not None:  # while its runner died
                raise Cancelled
            result = handler(job.arguments, report)
    except Cancelled:
        report.end(state=FAILED, error=CANCELLED)
    except Interrupted:
        report.write(state=QUEUED)
    except Waiting as wait:
        if report.write(wake_after=timedelta(seconds=wait.seconds), **wait.values):
            report.end(state=FAILED, error=CANCELLED, wake_at=None)
        return False
    except (Superseded, ThreadRefused):
        raise
    except Exception as error:
        _end_by(error, report)
        if not isinstance(error, LookalikeError) or isinstance(error, DatabaseUnavailable):
            raise
    else:
        report.end(state=DONE, result=result)
    return True


def _end_by(error: Exception, report: JobReport) -> None:
    """Write that a job has failed; one that the state of the database ended is queued again."""
    said = meaning_of(error) or error
    if isinstance(said, PASSING) and not isinstance(said, DatabaseTooSlow):  # that comes again
        report.give_back()
    elif isinstance(said, LookalikeError):
        report.end(state=FAILED, error=f"{said.code}: {said.message}")
    else:
        report.end(state=FAILED, error=f"{type(error).__name__}: {error}")


def free(db: Database) -> None:
    """Queue every running job again. Only for a process that knows that no other runs jobs."""
    running = update(Job).where(Job.state == RUNNING).values(state=QUEUED, wake_at=None)
    db.write(lambda session: session.execute(running))


def _first_ready(handlers: Mapping[str, Handler], now: datetime) -> Select[Job]:
    has_waited = Job.wake_at <= now
    runner_died = Job.wake_at.is_(None) & (Job.heartbeat_at < now - STALE_AFTER)
    ready = or_(Job.state == QUEUED, (Job.state == RUNNING) & or_(has_waited, runner_died))
    return (
        select(Job)
        .where(ready, Job.verb.in_(list(handlers)))
        .order_by(Job.wake_at.is_not(None), Job.id)
        .limit(1)
    )


def _take(session: Session, handlers: Mapping[str, Handler]) -> tuple[Job, datetime | None] | None:
    """Take the next job under a new claim; return it, and an earlier runner's last heartbeat."""
    now = clock.now(session)
    job: Job | None = session.scalar(_first_ready(handlers, now).with_for_update(skip_locked=True))
    if job is None:
        return None
    last_heartbeat = job.heartbeat_at
    job.state, job.heartbeat_at, job.started_at = RUNNING, now, job.started_at or now
    job.wake_at, job.claim = None, job.claim + 1
    return job, last_heartbeat
