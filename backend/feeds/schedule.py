"""When a feed is due, and the job that imports it. Times come from the database's clock."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import partial
from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from backend import jobs
from backend.database import clock
from backend.database.engine import Database
from backend.database.models import Feed, Job
from backend.errors import UnknownFeed

VERB: Final = "feed"
FIRST_RETRY: Final = timedelta(minutes=1)
"""The delay after a failed run; each further failure doubles it, up to the feed's interval."""


def request(session: Session, feed_id: int, *, force: bool = False) -> Job:
    """Request a run of a feed, and return its job: the present one if it has not ended.

    With `force` the feed is imported even if it has not changed. Raises UnknownFeed.
    """
    feed = session.scalar(select(Feed).where(Feed.id == feed_id).with_for_update())
    if feed is None:
        raise UnknownFeed
    return _unfinished(session, feed) or _request(session, feed, force=force)


def request_due(db: Database) -> int:
    """Request a run of every feed that is due, has no run under way and is not paused.

    Returns how many it was. Any number of processes may call this at the same time.
    """
    with db.read() as session:
        due = _due_ids(session)
    return sum(db.write(partial(_request_if_due, feed_id=number)) for number in due)


def _due_ids(session: Session) -> list[int]:
    running = select(Job.id).where(Job.id == Feed.job_id, Job.state.not_in(jobs.ENDED)).exists()
    waiting = select(Feed).where(Feed.due_at.is_not(None), Feed.paused_at.is_(None), ~running)
    feeds = session.scalars(waiting).all()
    if not feeds:
        return []
    now = clock.now(session)
    return [feed.id for feed in feeds if _is_due(feed, now)]


def _is_due(feed: Feed, now: datetime) -> bool:
    """Tell whether a feed is due; so is one whose time lies too far ahead: a clock was wrong."""
    if feed.due_at is None or feed.paused_at is not None:
        return False
    return not now < feed.due_at <= now + timedelta(seconds=feed.every_seconds)


def _request_if_due(session: Session, *, feed_id: int) -> int:
    feed = session.scalar(select(Feed).where(Feed.id == feed_id).with_for_update())
    # Another process may have requested it before this one had the lock.
    if feed is None or not _is_due(feed, clock.now(session)) or _unfinished(session, feed):
        return 0
    _request(session, feed, force=False)
    return 1


def _request(session: Session, feed: Feed, *, force: bool) -> Job:
    arguments = {"feed": feed.id, "name": feed.name, "force": force}
    job = jobs.add(session, VERB, arguments)
    feed.job_id = job.id
    feed.due_at = next_due(feed, clock.now(session))  # also if nothing comes of this run
    return job


def _unfinished(session: Session, feed: Feed) -> Job | None:
    job = session.get(Job, feed.job_id) if feed.job_id else None
    return job if job and job.state not in jobs.ENDED else None


def next_due(feed: Feed, since: datetime) -> datetime | None:
    """Return when a feed is due after a run that began at `since`; None: when somebody asks."""
    return since + timedelta(seconds=feed.every_seconds) if feed.every_seconds else None


def retry_due(feed: Feed, now: datetime, *, retry_after: int | None = None) -> datetime | None:
    """Return when a feed is due after its last `failures` runs have failed.

    It waits as long as the host asks (`retry_after`, in seconds), but not beyond the interval.
    """
    if not feed.every_seconds:
        return None
    delay: timedelta = FIRST_RETRY * 2 ** min(feed.failures - 1, 20)
    asked = timedelta(seconds=retry_after or 0)
    return now + min(max(delay, asked), timedelta(seconds=feed.every_seconds))
