"""Generations: one index of the whole catalogue by one embedder.

Here: the first one, and how a generation gets an entry for every product without losing a write
that races its start.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from backend.catalogue import outbox
from backend.catalogue.database import Database
from backend.catalogue.models import ACTIVE, LIVE, Generation, utcnow
from backend.errors import ModelMismatch, NoGeneration

BACKFILL_CHUNK = 5000
"""Products that get their entry in one transaction."""


@dataclass(frozen=True, kw_only=True)
class Encoder:
    """What a generation has to remember of an embedder."""

    spec: str  # what `embedders.load` takes
    fingerprint: str
    size: int


def active(session: Session) -> Generation:
    """Return the generation that answers queries; raises NoGeneration before the first."""
    found = session.scalar(select(Generation).where(Generation.state == ACTIVE))
    if found is None:
        raise NoGeneration
    return found


def active_or_none(session: Session) -> Generation | None:
    """Return the generation that answers queries, or None before the first."""
    return session.scalar(select(Generation).where(Generation.state == ACTIVE))


def live(session: Session) -> list[Generation]:
    """Return the generations that receive every write, the active one first."""
    rows = session.scalars(select(Generation).where(Generation.state.in_(LIVE)))
    return sorted(rows, key=lambda row: (row.state != ACTIVE, row.id))


def ensure_first(db: Database, encoder: Encoder) -> Generation:
    """Return the active generation, started with this encoder if there is none yet.

    A backfill that was cut off goes on.
    """
    with db.read() as session:
        existing = active_or_none(session)
    if existing is None:
        return start(db, encoder, state=ACTIVE)
    backfill(db, existing.id)
    return existing


def start(db: Database, encoder: Encoder, *, state: str) -> Generation:
    """Insert a generation, so that every write from now on reaches it, then backfill the rest.

    On PostgreSQL the row is inserted under an exclusive advisory lock that writers share:
    a product written meanwhile either sees the generation, or is seen by the backfill.
    """

    def insert(session: Session) -> Generation:
        if session.get_bind().dialect.name == "postgresql":
            session.execute(
                text("SELECT pg_advisory_xact_lock(:key)"), {"key": outbox.GENERATIONS_LOCK}
            )
        if state == ACTIVE and (other := active_or_none(session)):
            return other  # another process was first
        generation = Generation(
            collection=f"lookalike-{utcnow():%Y%m%dT%H%M%S%f}-{encoder.fingerprint[:8]}",
            embedder=encoder.spec,
            fingerprint=encoder.fingerprint,
            size=encoder.size,
            state=state,
        )
        session.add(generation)
        session.flush()
        return generation

    generation = db.write(insert)
    backfill(db, generation.id)
    return generation


def backfill(db: Database, generation_id: int) -> None:
    """Give every product an entry, range by range; goes on where an earlier run was cut off."""

    def one_range(session: Session) -> bool:
        generation = session.get_one(Generation, generation_id)
        last = outbox.backfill(
            session, generation_id, after=generation.backfilled_to, limit=BACKFILL_CHUNK
        )
        if last is not None:
            generation.backfilled_to = last
        return last is not None

    while db.write(one_range):
        pass


def check_fingerprint(generation: Generation, fingerprint: str) -> None:
    """Raise ModelMismatch unless the generation was built with this encoder."""
    if generation.fingerprint != fingerprint:
        raise ModelMismatch(
            f"generation {generation.id} was built with {generation.embedder} "
            f"({generation.fingerprint[:12]}), the encoder here is {fingerprint[:12]}",
            generation=generation.id,
        )
