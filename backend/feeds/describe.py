"""Feeds and their runs as JSON: what the API answers, and what the commands print."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from backend import jobs
from backend.database.models import Feed, FeedRun, Job
from backend.feeds import runs
from backend.feeds.feeds import shown_location


def describe(session: Session, feed: Feed) -> dict[str, Any]:
    """Return a feed with its last run."""
    return describe_all(session, [feed])[0]


def describe_all(session: Session, feeds: Sequence[Feed]) -> list[dict[str, Any]]:
    """Return feeds with their last runs. No value in the query of an address is shown."""
    last = runs.newest(session, [feed.id for feed in feeds])
    return [
        {
            "name": feed.name,
            "location": shown_location(feed.location),
            "every_seconds": feed.every_seconds,
            "options": feed.options,
            "paused": feed.paused_at is not None,
            "due_at": _time(None if feed.paused_at else feed.due_at),
            "failures": feed.failures,
            "job": _running(session, feed),
            "last_run": describe_run(last[feed.id]) if feed.id in last else None,
        }
        for feed in feeds
    ]


def describe_run(run: FeedRun) -> dict[str, Any]:
    """Return one run of a feed."""
    report = run.report or {}
    seconds = (run.finished_at - run.started_at).total_seconds() if run.finished_at else None
    return {
        "outcome": run.outcome,
        "reason": run.reason,
        "job": run.job_id,
        "started_at": _time(run.started_at),
        "finished_at": _time(run.finished_at),
        "seconds": None if seconds is None else max(0.0, seconds),
        "bytes": run.bytes,
        "read_as": report.get("read_as"),
        "counts": report.get("counts"),
        "warnings_by_kind": report.get("warnings_by_kind", {}),
        "rejects": report.get("rejects", []),
    }


def _running(session: Session, feed: Feed) -> int | None:
    job = session.get(Job, feed.job_id) if feed.job_id else None
    return job.id if job and job.state not in jobs.ENDED else None


def _time(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None
