"""Request the adaptation of the embedder to a catalogue that is indexed, without an operator.

A shop should get it without knowing that it exists. The job is that of `lookalike adapt`: nothing
changes unless the shop's own labels and the checks of the promotion say that it is better. A job
that an operator requests takes the place of this one.
"""

from __future__ import annotations

from typing import Final

import structlog
from sqlalchemy.orm import Session

from backend import generations, jobs
from backend.adaptation import FEWEST_PRODUCTS, MOST_PRODUCTS, can_adapt
from backend.database.engine import Database
from backend.database.models import BUILDING, Cursor, Generation, Job
from backend.generations.rows import lock
from backend.queue.claims import is_busy
from backend.queue.progress import progress
from backend.reindex import requests

log = structlog.get_logger(__name__)

GROWTH: Final = 4
"""The adaptation is tried again when the catalogue has this many times as many products."""

CURSOR: Final = "adaptation"
"""Its position is the number of products when it was last requested."""


def request_adaptation(db: Database) -> Job | None:
    """Request an adaptation if it is time for one; return its job.

    It is time when an index is complete whose embedder can be adapted, with at least
    FEWEST_PRODUCTS products, and again after the catalogue has grown by GROWTH.
    """
    with db.read() as session:
        current = _candidate(session)
    if current is None or is_busy(db, current.id):
        return None

    def work(session: Session) -> Job | None:
        lock(session)
        found = _candidate(session)
        if found is None or found.id != current.id or _is_occupied(session):
            return None
        now = progress(session, found.id)
        cursor = session.get(Cursor, CURSOR) or Cursor(name=CURSOR, position=0)
        if not now.at_rest or now.indexed < max(FEWEST_PRODUCTS, GROWTH * cursor.position):
            return None
        cursor.position = now.indexed
        session.add(cursor)
        plan = requests.ReindexPlan(adapt="only")
        return jobs.add(session, requests.REINDEX, plan.as_arguments() | {"automatic": True})

    job = db.write(work)
    if job is not None:
        log.info("the catalogue is indexed: adapting the embedder to it", job=job.id)
    return job


def unfinished(db: Database) -> Job | None:
    """Return the adaptation that was requested automatically, if it has not ended."""
    with db.read() as session:
        running = jobs.unfinished(session, requests.REINDEX)
    return next(filter(requests.is_automatic, running), None)


def _candidate(session: Session) -> Generation | None:
    """Return the active generation if its embedder can be adapted; all but counting is cheap."""
    cursor = session.get(Cursor, CURSOR)
    if cursor is not None and cursor.position >= MOST_PRODUCTS:  # no more would be read
        return None
    current = generations.active_or_none(session)
    return current if current is not None and can_adapt(current.embedder) else None


def _is_occupied(session: Session) -> bool:
    building = generations.in_state(session, BUILDING)
    return building is not None or bool(jobs.unfinished(session, requests.REINDEX))
