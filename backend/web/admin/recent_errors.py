"""What failed lately: jobs, runs of feeds, and what this process has logged."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from backend import jobs, logs
from backend.database.models import Feed, FeedRun, Job
from backend.feeds.runs import RunOutcome
from backend.feeds.schedule import VERB as FEED

BAD_RUNS: Final = (RunOutcome.FAILED, RunOutcome.ENDED_EARLY)
SHOWN: Final = 20


@dataclass(frozen=True, kw_only=True)
class RecentError:
    """Something that failed."""

    at: datetime
    what: str
    why: str
    level: str = "error"


def read_recent(session: Session) -> list[RecentError]:
    """Return what failed lately, the newest first."""
    failed = [
        RecentError(at=job.finished_at or job.created_at, what=_name(job), why=job.error or "")
        for job in jobs.failed(session, but=FEED, limit=SHOWN)
    ]
    found = [*failed, *_of_feeds(session), *_of_this_process()]
    return sorted(found, key=lambda one: one.at, reverse=True)[:SHOWN]


def _name(job: Job) -> str:
    return f"job {job.id}, {job.verb}"


def _of_feeds(session: Session) -> list[RecentError]:
    rows = session.execute(
        select(FeedRun, Feed.name)
        .join(Feed, Feed.id == FeedRun.feed_id)
        .where(FeedRun.outcome.in_(BAD_RUNS))
        .order_by(FeedRun.id.desc())
        .limit(SHOWN)
    )
    return [
        RecentError(at=run.finished_at or run.started_at, what=f"feed {name}", why=run.reason or "")
        for run, name in rows
    ]


def _of_this_process() -> list[RecentError]:
    return [
        RecentError(
            at=datetime.fromisoformat(line.at),
            what=f"{line.event} ({line.times} times)" if line.times > 1 else line.event,
            why=line.fields,
            level=line.level,
        )
        for line in logs.recent()
    ]
