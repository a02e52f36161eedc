"""The history of a feed: one row a run, from its beginning to its outcome."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from backend import jobs
from backend.catalogue.report import Summary, as_json
from backend.database import clock
from backend.database.models import Feed, FeedRun, Job
from backend.errors import FeedUnavailable, UnknownFeed, WrongState
from backend.feeds.schedule import VERB, next_due, retry_due

KEPT: Final = 100  # runs of one feed
MOST_DEATHS: Final = 3
"""The run of a job fails when so many processes have died during it."""

LEAST_PAUSE: Final = timedelta(seconds=10)
"""Between the end of one run and the next, for an import that takes longer than the interval."""

SHOWN: Final = 20  # rejects
LONGEST_REASON: Final = 500  # characters


class RunOutcome(StrEnum):
    """The outcome of a run."""

    RUNNING = "running"
    IMPORTED = "imported"
    UNCHANGED = "unchanged"  # the host, or the file, says so; nothing was read
    PRUNE_REFUSED = "prune-refused"  # imported, and nothing was removed
    ENDED_EARLY = "ended-early"  # imported as far as it came, and nothing was removed
    FAILED = "failed"
    INTERRUPTED = "interrupted"  # the process ended; the run is begun again


GOOD: Final = (RunOutcome.IMPORTED, RunOutcome.UNCHANGED, RunOutcome.PRUNE_REFUSED)


@dataclass(frozen=True, kw_only=True)
class Ending:
    """How a run ended; `seen` is kept with the feed where it is not None."""

    outcome: RunOutcome
    reason: str | None = None
    bytes: int | None = None
    report: Mapping[str, Any] | None = None
    seen: Mapping[str, Any] | None = None
    retry_after: int | None = None  # seconds that the host asks to wait


def begin(session: Session, feed_id: int) -> tuple[Feed, FeedRun]:
    """Begin a run; an earlier one that has not ended was killed with its process.

    Raises UnknownFeed, and FeedUnavailable when the job's processes died too often.
    """
    feed = session.scalar(select(Feed).where(Feed.id == feed_id).with_for_update())
    if feed is None:
        raise UnknownFeed("the feed was removed")
    now = clock.now(session)
    for left in session.scalars(
        select(FeedRun).where(FeedRun.feed_id == feed_id, FeedRun.outcome == RunOutcome.RUNNING)
    ):
        left.outcome, left.finished_at = RunOutcome.INTERRUPTED, now
        left.reason = DIED
    session.flush()
    run = FeedRun(feed_id=feed_id, job_id=feed.job_id, outcome=RunOutcome.RUNNING, started_at=now)
    session.add(run)
    session.flush()
    return feed, run


DIED: Final = "the process ended during the run"


def check_deaths(session: Session, run: FeedRun) -> None:
    """Raise FeedUnavailable if the processes that ran the job of this run died too often."""
    died = select(FeedRun.id).where(
        FeedRun.feed_id == run.feed_id, FeedRun.job_id == run.job_id, FeedRun.reason == DIED
    )
    if len(session.scalars(died).all()) >= MOST_DEATHS:
        raise FeedUnavailable(f"the process ended during the run, {MOST_DEATHS} times")


def check_running(session: Session, run_id: int) -> None:
    """Raise UnknownFeed if the feed was removed, WrongState if another process runs it now."""
    outcome = session.scalar(select(FeedRun.outcome).where(FeedRun.id == run_id))
    if outcome is None:
        raise UnknownFeed("the feed was removed")
    if outcome != RunOutcome.RUNNING:
        raise WrongState("another process has taken over this run")


def end(session: Session, run_id: int, ending: Ending) -> None:
    """Write how a run ended, and when the feed is due again; forget runs that are too old."""
    run = session.get(FeedRun, run_id)
    if run is None or run.outcome != RunOutcome.RUNNING:
        return  # the feed was removed, or another process runs it now
    now = clock.now(session)
    run.outcome, run.finished_at = ending.outcome, now
    run.reason = ending.reason and clipped(ending.reason)
    run.bytes, run.report = ending.bytes, dict(ending.report) if ending.report else None
    feed = session.scalars(select(Feed).where(Feed.id == run.feed_id).with_for_update()).one()
    if ending.outcome is not RunOutcome.INTERRUPTED:
        _schedule(feed, ending, began=run.started_at, now=now)
    _forget(session, feed.id)


def _schedule(feed: Feed, ending: Ending, *, began: datetime, now: datetime) -> None:
    if ending.outcome in GOOD:
        feed.failures = 0
        due = next_due(feed, began)
        feed.due_at = due and max(due, now + LEAST_PAUSE)
    else:
        feed.failures += 1
        feed.due_at = retry_due(feed, now, retry_after=ending.retry_after)
    if ending.seen is not None:
        feed.seen = dict(ending.seen)


def _forget(session: Session, feed_id: int) -> None:
    """Delete all but the newest runs, and the jobs that only they have."""
    of_feed = select(FeedRun).where(FeedRun.feed_id == feed_id).order_by(FeedRun.id.desc())
    old = session.scalars(of_feed.offset(KEPT)).all()
    if not old:
        return
    kept = {run.job_id for run in session.scalars(of_feed.limit(KEPT))}
    gone = {run.job_id for run in old} - kept
    session.execute(delete(FeedRun).where(FeedRun.id.in_([run.id for run in old])))
    session.execute(
        delete(Job).where(Job.id.in_(gone), Job.verb == VERB, Job.state.in_(jobs.ENDED))
    )


def history(session: Session, feed_id: int, *, limit: int) -> list[FeedRun]:
    """Return the newest runs of a feed, the newest first."""
    query = select(FeedRun).where(FeedRun.feed_id == feed_id)
    return list(session.scalars(query.order_by(FeedRun.id.desc()).limit(limit)))


def newest(session: Session, feed_ids: list[int]) -> dict[int, FeedRun]:
    """Return the newest run of each feed that has one."""
    last = (
        select(func.max(FeedRun.id)).where(FeedRun.feed_id.in_(feed_ids)).group_by(FeedRun.feed_id)
    )
    found = session.scalars(select(FeedRun).where(FeedRun.id.in_(last)))
    return {run.feed_id: run for run in found}


def report_of(summary: Summary) -> dict[str, Any]:
    """Return what the history keeps of an import: counts, warnings by kind, the first rejects."""
    kinds = summary.warnings_by_kind()
    for kind in kinds.values():
        kind["first"] = [_short(remark) for remark in kind["first"]]
    return {
        "read_as": summary.read_as,
        "counts": summary.counts(),
        "warnings_by_kind": kinds,
        "rejects": [_short(as_json(remark)) for remark in summary.rejects.first(SHOWN)],
    }


def _short(remark: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: clipped(value) if isinstance(value, str) else value for name, value in remark.items()
    }


def clipped(text: str) -> str:
    """Return a text as every database can hold it, and not longer than the history needs."""
    text = text.replace("\0", "\ufffd")
    return text if len(text) <= LONGEST_REASON else f"{text[:LONGEST_REASON]}…"
