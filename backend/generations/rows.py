"""Reading generations."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from backend.database import locks
from backend.database.engine import Database
from backend.database.locks import Lock
from backend.database.models import ACTIVE, LIVE, Generation
from backend.embedders import Block
from backend.errors import ModelMismatch, NoGeneration, UnknownGeneration


def active(session: Session) -> Generation:
    """Return the generation that answers queries; raises NoGeneration before the first."""
    found = active_or_none(session)
    if found is None:
        raise NoGeneration
    return found


def active_or_none(session: Session) -> Generation | None:
    """Return the generation that answers queries, or None before the first."""
    return in_state(session, ACTIVE)


def in_state(session: Session, state: str) -> Generation | None:
    """Return the newest generation in a state; only the retired ones can be several."""
    return session.scalar(
        select(Generation)
        .where(Generation.state == state)
        .order_by(Generation.id.desc())
        .limit(1)
        .execution_options(populate_existing=True)  # this session may have updated it
    )


def by_id(session: Session, generation_id: int) -> Generation:
    """Return a generation; raises UnknownGeneration."""
    found = session.get(Generation, generation_id)
    if found is None:
        raise UnknownGeneration(f"there is no generation {generation_id}")
    return found


def live(session: Session) -> list[Generation]:
    """Return the generations that receive every write, the active one first."""
    rows = session.scalars(select(Generation).where(Generation.state.in_(LIVE)))
    return sorted(rows, key=lambda row: (row.state != ACTIVE, row.id))


def store_most_images(session: Session, generation_id: int, *, most: int) -> None:
    """Store the most points that a product of this generation has, before they are written."""
    if most > 1:
        fewer = func.coalesce(Generation.most_images, 1) < most
        session.execute(
            update(Generation)
            .where(Generation.id == generation_id, fewer)
            .values(most_images=most)
            .execution_options(synchronize_session=False)
        )


def blocks_of(generation: Generation) -> tuple[Block, ...] | None:
    """Return the blocks of a generation's vectors, () if there are none, None if unknown."""
    blocks = generation.blocks
    return None if blocks is None else tuple([Block(*block) for block in blocks])


def store_blocks(db: Database, generation: Generation, blocks: Sequence[Block]) -> None:
    """Store the blocks of a generation that an earlier release began; those of others are known."""
    if generation.blocks is not None:
        return
    noted = [list(block) for block in blocks]
    unknown = update(Generation).where(Generation.id == generation.id, Generation.blocks.is_(None))
    db.write(
        lambda session: session.execute(
            unknown.values(blocks=noted).execution_options(synchronize_session=False)
        )
    )
    generation.blocks = noted


def lock(session: Session) -> None:
    """Lock out writers of products and other changes of generations until the transaction ends."""
    locks.hold(session, Lock.GENERATIONS)


def check_fingerprint(generation: Generation, fingerprint: str) -> None:
    """Raise ModelMismatch unless the generation was built with this embedder."""
    if generation.fingerprint != fingerprint:
        raise ModelMismatch(
            f"generation {generation.id} was built with {generation.embedder} "
            f"({generation.fingerprint[:12]}), the embedder here is {fingerprint[:12]}",
            generation=generation.id,
        )
