"""The statistics of this shop, in SQL: every process that embeds reads them by their digest."""

from __future__ import annotations

from urllib.parse import parse_qsl

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from backend.database.engine import Database
from backend.database.models import Generation, Statistics, utcnow
from backend.database.upsert import upsert
from backend.embedders.block_statistics import BlockStatistics


def store(session: Session, statistics: BlockStatistics) -> None:
    """Store statistics under their digest, unless they are stored already."""
    row = {"digest": statistics.digest, "content": statistics.to_bytes(), "created_at": utcnow()}
    session.execute(upsert(session, Statistics).on_conflict_do_nothing(), [row])


def read(db: Database, digest: str) -> bytes | None:
    """Return the statistics with this digest as `store` wrote them, None if there are none."""
    with db.read() as session:
        found = session.get(Statistics, digest)
        return found.content if found else None


def forget_unused(session: Session, spec: str) -> None:
    """Delete the statistics that an embedder's spec names, if no generation is left that does."""
    digest = dict(parse_qsl(spec.partition("?")[2])).get("adapted")
    left = select(Generation.id).where(Generation.embedder == spec, Generation.dropped_at.is_(None))
    if digest and session.scalar(left.limit(1)) is None:
        session.execute(delete(Statistics).where(Statistics.digest == digest))
