"""Generations as JSON, for the command line and REST."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from backend import generations
from backend.database.engine import Database
from backend.database.models import RETIRED, Generation
from backend.queue import counting


def describe(db: Database, generation: Generation) -> dict[str, Any]:
    """Return a generation as JSON, with the counts of its products, which may be stored ones."""
    is_live = generation.state != RETIRED
    now = counting.current(db, generation.id).progress if is_live else None
    names = ("id", "state", "embedder", "fingerprint", "size", "collection", "quantization")
    counts = ("products", "pending", "indexed", "quarantined")
    moments = ("created_at", "promoted_at", "retired_at", "dropped_at")
    times: dict[str, datetime | None] = {name: getattr(generation, name) for name in moments}
    return {
        **{name: getattr(generation, name) for name in names},
        "blocks": _blocks(generation),
        "attribute_tokens": bool(generation.attribute_tokens),
        "index_options": generation.index_options,
        **{name: getattr(now, name, None) for name in counts},
        **{name: at and at.isoformat() for name, at in times.items()},
        "quality": generation.quality,
        "match": generation.match_curve,
    }


def _blocks(generation: Generation) -> list[dict[str, Any]] | None:
    blocks = generations.blocks_of(generation)
    return None if blocks is None else [block._asdict() for block in blocks]


def listed(session: Session) -> list[Generation]:
    """Return all generations, the newest first."""
    return list(session.scalars(select(Generation).order_by(Generation.id.desc())))


def described(db: Database, generation_id: int) -> dict[str, Any]:
    """Read a generation and return it as JSON; raises UnknownGeneration."""
    with db.read() as session:
        generation = generations.by_id(session, generation_id)
    return describe(db, generation)
