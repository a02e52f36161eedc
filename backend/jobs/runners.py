"""The processes that work on queue or jobs: each has a row that says when it was last seen."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from backend.database import clock
from backend.database.engine import Database
from backend.database.models import Job, WorkerRow
from backend.database.upsert import upsert
from backend.jobs.records import RUNNING

SEEN_EVERY_SECONDS: Final = 10.0
GONE_AFTER: Final = timedelta(seconds=60)
"""A process that was not seen for this time has ended, or is busy with one long step."""


@dataclass(frozen=True)
class Runner:
    """A process that was seen lately."""

    name: str
    embeds: bool
    applies: bool  # it also runs jobs
    skew_seconds: float  # its host's clock less the database's
    seen_seconds_ago: float


def own_name() -> str:
    """Return what names this process in the table: its host and its process id."""
    return f"{socket.gethostname()}:{os.getpid()}"


def record_presence(db: Database, *, embeds: bool, applies: bool) -> float:
    """Record that this process works; return by how much its clock is ahead of the database's."""

    def work(session: Session) -> float:
        now = clock.now(session)
        skew = round(clock.skew(session), 3)
        values = {
            "embeds": embeds,
            "applies": applies,
            "skew_seconds": skew,
            "seen_at": now,
        }
        insert = upsert(session, WorkerRow).values(name=own_name(), **values)
        session.execute(insert.on_conflict_do_update(index_elements=["name"], set_=values))
        session.execute(delete(WorkerRow).where(WorkerRow.seen_at < now - GONE_AFTER))
        return skew

    return db.write(work)


def forget(db: Database) -> None:
    """Note that this process ends."""
    ours = delete(WorkerRow).where(WorkerRow.name == own_name())
    db.write(lambda session: session.execute(ours))


def seen(session: Session) -> list[Runner]:
    """Return the processes that were seen lately, by name."""
    rows = session.scalars(
        select(WorkerRow)
        .where(WorkerRow.seen_at >= clock.now(session) - GONE_AFTER)
        .order_by(WorkerRow.name)
    )
    return [
        Runner(
            name=row.name,
            embeds=row.embeds,
            applies=row.applies,
            skew_seconds=row.skew_seconds,
            seen_seconds_ago=round(clock.age(session, row.seen_at), 1),
        )
        for row in rows
    ]


def why_idle(db: Database, job: Job, *, owner: str | None) -> str | None:
    """Say why no process works on a job that shows no life; None where one will.

    `owner` describes the process that owns an embedded index and runs the jobs, None where the
    workers run them.
    """
    with db.read() as session:
        now = clock.now(session)
        is_alive = Job.heartbeat_at > now - GONE_AFTER
        busy = session.scalar(
            select(Job).where(Job.state == RUNNING, Job.wake_at.is_(None), is_alive).limit(1)
        )
        if busy is not None:
            return None if busy.id == job.id else f"job {busy.id} ({busy.verb}) is running"
        if owner is not None:
            return f"the owner of the index has not begun it: {owner}"
        if any(one.applies for one in seen(session)):
            return None
    return "no process that runs jobs was seen for a minute; start one with `lookalike worker`"
