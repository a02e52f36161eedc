"""Retire an expired standby; delete what retired generations left.

That is their index, their entries, and the vectors that no generation uses.

Each step is a short transaction, so that no writer waits for long. The rows, and a cursor for the
vectors, show what has been done, so that any process can continue.
"""

from __future__ import annotations

import time
from bisect import bisect
from collections.abc import Callable, Collection, Sequence
from datetime import timedelta
from functools import partial
from typing import Final

import structlog
from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from backend import generations, jobs
from backend.adaptation import stored as statistics
from backend.catalogue import image_vectors, word_alignments
from backend.database import clock
from backend.database.engine import Database
from backend.database.models import BUILDING, RETIRED, Cursor, Generation, Job
from backend.queue import backfill
from backend.reindex.requests import REINDEX

log = structlog.get_logger(__name__)

ENTRIES_PER_STEP: Final = 5000
"""Entries that are deleted in one transaction."""

STEP_SECONDS: Final = 0.05
"""How long one transaction deletes vectors."""

DIGEST_PARTS: Final = 4096
"""Vectors are deleted part by part: a part has the same first three digits of the image digest."""


def clean_up(
    db: Database,
    *,
    keep: timedelta,
    drop_after: timedelta,
    drop_index: Callable[[Generation], None],
    keep_embedders: Callable[[Collection[str]], None],
) -> bool:
    """Retire a standby after `keep` and delete some leftovers; return whether there is more.

    `keep_embedders` gets the fingerprints that live generations need.
    """
    if retired := generations.retire_expired(db, keep=keep):
        log.info("the standby has expired", generation=retired.id)
    if dropped := _drop_cancelled(db):
        log.info("the re-index was cancelled", generation=dropped.id)
    with db.read() as session:
        keep_embedders({one.fingerprint for one in generations.live(session)})
    return delete_leftovers(db, after=drop_after, drop_index=drop_index)


def _drop_cancelled(db: Database) -> Generation | None:
    """Retire and return the building generation if its re-index was cancelled."""
    with db.read() as session:
        building = generations.in_state(session, BUILDING)
        if building is None:
            return None
        cancelled = session.scalars(
            select(Job)
            .where(Job.verb == REINDEX, Job.state == jobs.FAILED, Job.cancelled_at.is_not(None))
            .order_by(Job.id.desc())
            .limit(10)
        )
        if building.id not in {job.arguments.get("generation") for job in cancelled}:
            return None
    return generations.drop(db, building.id)


def delete_leftovers(
    db: Database,
    *,
    after: timedelta,
    drop_index: Callable[[Generation], None],
    seconds: float = 0.2,
) -> bool:
    """Delete, for some seconds, what generations left that retired longer ago than `after`.

    Requests that read a generation before it retired may use its index until then. Returns whether
    there is more to delete.
    """
    deadline = time.monotonic() + seconds
    while generation := _next_retired(db, after):
        drop_index(generation)
        for step in (_drop_entries, _drop_vectors):
            while step(db, generation):
                if time.monotonic() > deadline:
                    return True
        db.write(partial(_note_dropped, generation=generation))
    return False


def _next_retired(db: Database, after: timedelta) -> Generation | None:
    with db.read() as session:
        return session.scalar(
            select(Generation)
            .where(Generation.state == RETIRED, Generation.dropped_at.is_(None))
            .where(Generation.retired_at <= clock.now(session) - after)
            .order_by(Generation.id)
            .limit(1)
        )


def _drop_entries(db: Database, generation: Generation) -> bool:
    """Delete some entries; return whether there may be more."""
    limit = ENTRIES_PER_STEP
    return db.write(lambda session: backfill.forget(session, generation.id, limit=limit)) == limit


def _drop_vectors(db: Database, generation: Generation) -> bool:
    """Delete some parts of an unused embedder's vectors; return whether there are more."""
    with db.read() as session:
        unused = _unused(session, generation)
        if not unused:
            return False
        cursor = session.get(Cursor, _cursor(generation))
        start = _next_part(session, unused, cursor.position if cursor else 0)
    step = partial(_drop_parts, generation=generation, unused=unused, start=start)
    return db.write(step)


def _next_part(session: Session, fingerprints: Sequence[str], position: int) -> int:
    """Return the first part from `position` on that has a vector, or `DIGEST_PARTS`.

    This reads past the vectors of other embedders, which a transaction that writes must not do.
    """
    parts = [f"{number:03x}" for number in range(DIGEST_PARTS)]
    if position == DIGEST_PARTS:
        return position
    found = [image_vectors.first_digest(session, one, at=parts[position]) for one in fingerprints]
    digests = [digest for digest in found if digest is not None]
    return bisect(parts, min(digests)) - 1 if digests else DIGEST_PARTS


def _drop_parts(
    session: Session, *, generation: Generation, unused: Sequence[str], start: int
) -> bool:
    """Delete the vectors of some parts from `start` on; return whether there are more parts."""
    if generation.fingerprint in unused:
        word_alignments.forget(session, generation.fingerprint)
    name = _cursor(generation)
    cursor = session.get(Cursor, name) or Cursor(name=name)
    cursor.position = start
    session.add(cursor)
    deadline = time.monotonic() + STEP_SECONDS
    while cursor.position < DIGEST_PARTS and time.monotonic() < deadline:
        cursor.position += 1
        beyond = None if cursor.position == DIGEST_PARTS else f"{cursor.position:03x}"
        first = f"{cursor.position - 1:03x}"
        for fingerprint in unused:
            image_vectors.forget(session, fingerprint, first=first, beyond=beyond)
    return cursor.position < DIGEST_PARTS


def _unused(session: Session, generation: Generation) -> list[str]:
    """Return the fingerprints of vectors and features that only this generation uses."""
    others = session.execute(
        select(Generation.fingerprint, Generation.features).where(
            Generation.id != generation.id, Generation.dropped_at.is_(None)
        )
    )
    used = {fingerprint for row in others for fingerprint in row}
    own = (generation.fingerprint, generation.features)
    return [fingerprint for fingerprint in own if fingerprint and fingerprint not in used]


def _note_dropped(session: Session, *, generation: Generation) -> None:
    session.get_one(Generation, generation.id).dropped_at = clock.now(session)
    session.flush()
    if not jobs.unfinished(session, REINDEX):  # one may have chosen the same statistics again
        statistics.forget_unused(session, generation.embedder)
    cursors = (_cursor(generation), f"reconcile:{generation.id}")
    session.execute(delete(Cursor).where(Cursor.name.in_(cursors)))


def _cursor(generation: Generation) -> str:
    return f"drop-vectors:{generation.id}"
