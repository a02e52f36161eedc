"""The state of the catalogue, as `GET /v1/status` and `lookalike status --json` show it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from datetime import timedelta
from typing import Any, TypeAlias

from sqlalchemy import func, select
from sqlalchemy.orm import Session

import backend
from backend import generations, jobs, queue
from backend.catalogue import unnamed_images
from backend.database import clock
from backend.database.engine import Database
from backend.database.models import Generation, Job
from backend.jobs import runners
from backend.queue import counting
from backend.queue.counting import Counted
from backend.queue.progress import progress
from backend.search import filter_recall
from backend.vectors.edge.folders import Shard

ShardOf: TypeAlias = Callable[[Generation], Shard | None]


def status(
    db: Database, look_at_shard: ShardOf, *, recent: timedelta | None = None
) -> dict[str, Any]:
    """Count the active generation's products: `products = pending + indexed + quarantined`.

    Without a generation all of them are pending. `oldest_pending_seconds` is how long the product
    that waits longest has been waiting, None when nothing waits. `look_at_shard` returns what is
    known of an embedded index. With `recent`, a stored count is used if it is still valid after
    that time; `counted_seconds_ago` says how old it is.
    """
    with db.read() as session:  # closed before anything is counted: one connection at a time
        generation = generations.active_or_none(session)
        found = _stored(session, generation, recent)
    counted = found or _count(db, generation)
    with db.read() as session:
        shapes = filter_recall.by_shape(session, generation.id if generation else None)
        return {
            **_counts(session, counted),
            "generation": _describe(generation) if generation else None,
            "waiting": (
                [asdict(row) for row in queue.waiting_by_reason(session, generation.id)]
                if generation
                else []
            ),
            "shard": _shard(look_at_shard(generation)) if generation else None,
            "jobs": _jobs(session),
            "unnamed": unnamed_images.summary(session),
            "filter_recall": [asdict(shape) for shape in shapes],
            "clock_skew_seconds": round(clock.skew(session), 1),
            "workers": [asdict(one) for one in runners.seen(session)],
            "warnings": _warnings(session),
            "version": backend.__version__,
        }


def _counts(session: Session, counted: Counted) -> dict[str, Any]:
    now, oldest = counted.progress, counted.progress.oldest_request
    return {
        "products": now.products,
        "pending": now.pending,
        "awaited": now.awaited,
        "indexed": now.indexed,
        "quarantined": now.quarantined,
        "removing": now.removing,
        "oldest_pending_seconds": round(clock.age(session, oldest), 1) if oldest else None,
        "counted_seconds_ago": float(round(clock.age(session, counted.at))),
    }


def _warnings(session: Session) -> list[str]:
    """Say which hosts' clocks differ from the database's by more than a few seconds."""
    skews = {"this host": clock.skew(session)}
    skews |= {f"worker {one.name}": one.skew_seconds for one in runners.seen(session)}
    return [
        f"the clock of {name} is {abs(seconds):,.0f} s "
        f"{'ahead of' if seconds > 0 else 'behind'} the database's: no work is delayed, but "
        "logs and keys' expiry use it"
        for name, seconds in skews.items()
        if clock.is_skewed(seconds)
    ]


def _stored(
    session: Session, generation: Generation | None, recent: timedelta | None
) -> Counted | None:
    if generation is None or recent is None:
        return None
    return counting.recent(session, generation.id, now=clock.now(session) + recent)


def _count(db: Database, generation: Generation | None) -> Counted:
    if generation is not None:
        return counting.count(db, generation.id)
    with db.read() as session:
        return Counted(progress(session, None), clock.now(session))


def _describe(generation: Generation) -> dict[str, Any]:
    names = ("id", "collection", "embedder", "fingerprint", "size", "state")
    return {name: getattr(generation, name) for name in names}


def _shard(shard: Shard | None) -> dict[str, Any] | None:
    """Describe an embedded index; None where a Qdrant server holds it."""
    if shard is None:
        return None
    built, failure = shard.state.built, shard.state.failure
    return {
        "optimized": built is not None,
        "dirty": shard.dirty,
        "building": shard.building,
        "built": asdict(built) if built else None,
        "failure": asdict(failure) if failure else None,
    }


def _jobs(session: Session) -> dict[str, int]:
    """Count the jobs that have not ended, by state."""
    rows = session.execute(
        select(Job.state, func.count()).where(Job.state.not_in(jobs.ENDED)).group_by(Job.state)
    )
    counts = {row[0]: row[1] for row in rows}
    return {state: counts.get(state, 0) for state in (jobs.QUEUED, jobs.RUNNING)}
