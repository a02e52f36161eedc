"""Start a generation without losing a concurrent write, and give it its entries."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from sqlalchemy.orm import Session

from backend.database.engine import Database
from backend.database.models import ACTIVE, BUILDING, Generation, utcnow
from backend.embedders import Block, Embedder
from backend.errors import ReindexRunning
from backend.generations.rows import active_or_none, in_state, lock, store_blocks
from backend.queue import backfill as backfilling

BACKFILL_CHUNK = 5000
"""Products that get their entries in one transaction."""


@dataclass(frozen=True, kw_only=True)
class EmbedderIdentity:
    """What a generation stores of its embedder."""

    spec: str  # what `embedders.load` takes
    fingerprint: str
    size: int
    blocks: tuple[Block, ...] | None = None  # None: unknown

    @classmethod
    def of(cls, spec: str, embedder: Embedder) -> EmbedderIdentity:
        """Return the identity of an embedder and the spec that it was loaded by."""
        return cls(
            spec=spec,
            fingerprint=embedder.fingerprint,
            size=embedder.size,
            blocks=embedder.blocks,
        )


@dataclass(frozen=True, kw_only=True)
class IndexLayout:
    """How a generation's index is laid out."""

    quantization: str | None = None  # int8 or none; absent: as the settings say
    options: Mapping[str, Any] = field(default_factory=dict)  # hnsw_m, hnsw_ef_construct


def ensure_first(
    db: Database, embedder: EmbedderIdentity, *, configured: str | None = None
) -> Generation:
    """Return the active generation, started with this embedder if there is none yet.

    A backfill that was interrupted is continued, and blocks that are unknown are noted.
    """
    with db.read() as session:
        existing = active_or_none(session)
    if existing is None:
        return start(db, embedder, state=ACTIVE, configured=configured)
    if embedder.blocks is not None and embedder.fingerprint == existing.fingerprint:
        store_blocks(db, existing, embedder.blocks)
    backfill(db, existing.id)
    return existing


def start(
    db: Database,
    embedder: EmbedderIdentity,
    *,
    state: str,
    layout: IndexLayout | None = None,
    configured: str | None = None,
) -> Generation:
    """Insert a generation, which receives every later write, then backfill earlier products.

    Raises ReindexRunning when one is building already.
    """
    generation = insert(db, embedder, state=state, layout=layout, configured=configured)
    backfill(db, generation.id)
    return generation


def insert(
    db: Database,
    embedder: EmbedderIdentity,
    *,
    state: str,
    layout: IndexLayout | None = None,
    configured: str | None = None,
) -> Generation:
    """Insert a generation without any entry; it receives every later write.

    On PostgreSQL the row is inserted under an exclusive advisory lock that writers share: a writer
    either sees the generation, or its product is seen by the backfill. `configured` is the embedder
    that the settings named.
    """
    layout = layout or IndexLayout()

    def work(session: Session) -> Generation:
        lock(session)
        if state == ACTIVE and (other := active_or_none(session)):
            return other  # another process was first
        if state == BUILDING:
            refuse_second(session)
        generation = Generation(
            collection=f"lookalike-{utcnow():%Y%m%dT%H%M%S%f}-{embedder.fingerprint[:8]}",
            embedder=embedder.spec,
            fingerprint=embedder.fingerprint,
            configured=configured,
            size=embedder.size,
            blocks=None if embedder.blocks is None else [list(it) for it in embedder.blocks],
            quantization=layout.quantization,
            index_options=dict(layout.options),
            attribute_tokens=True,
            state=state,
        )
        session.add(generation)
        session.flush()
        return generation

    return db.write(work)


def refuse_second(session: Session) -> None:
    """Raise ReindexRunning when a generation is building."""
    if building := in_state(session, BUILDING):
        raise ReindexRunning(
            f"generation {building.id} ({building.embedder}) is building already: "
            f"promote it, or drop it with `lookalike generations drop {building.id}`",
            generation=building.id,
        )


def backfill(
    db: Database,
    generation_id: int,
    *,
    seconds: float | None = None,
    heartbeat: Callable[[], None] = lambda: None,
) -> bool:
    """Give every product an entry, range by range; continues an interrupted run.

    Stops after some `seconds`, if they are given; returns whether every product has its entry.
    """
    deadline = None if seconds is None else time.monotonic() + seconds
    while db.write(partial(_one_range, generation_id=generation_id)):
        heartbeat()
        if deadline is not None and time.monotonic() > deadline:
            return False
    return True


def _one_range(session: Session, *, generation_id: int) -> bool:
    generation = session.get_one(Generation, generation_id)
    last = backfilling.backfill(
        session, generation_id, after=generation.backfilled_to, limit=BACKFILL_CHUNK
    )
    if last is not None:
        generation.backfilled_to = last
    return last is not None
