"""Change the states of generations. Each function is one short transaction.

Only the states are checked here; `reindex.decide` measures whether a generation is good enough.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from sqlalchemy import case, null, or_, update
from sqlalchemy.orm import Session

from backend.database import clock
from backend.database.engine import Database
from backend.database.models import ACTIVE, BUILDING, RETIRED, STANDBY, Generation
from backend.errors import WrongState
from backend.generations.rows import active, by_id, in_state, lock


def activate(db: Database, generation_id: int, *, quality: dict[str, Any] | None) -> Generation:
    """Make a building (or the standby) generation the active one; return it.

    The active one becomes the standby, and the standby before it retires. `quality` is what it was
    promoted with. Raises UnknownGeneration, and WrongState for any other generation.
    """

    def work(session: Session) -> Generation:
        lock(session)
        candidate = by_id(session, generation_id)
        if candidate.state not in (BUILDING, STANDBY):
            raise WrongState(f"generation {candidate.id} is {candidate.state}, not building")
        if quality is not None:
            candidate.quality = quality
            session.flush()
        _switch_to(session, candidate.id)
        return active(session)

    return db.write(work)


def reactivate(db: Database, generation_id: int, *, configured: str | None) -> Generation:
    """Make this standby the active generation, and the active one the standby; return it.

    The row stores the embedder that is `configured` now, so that `follow_settings` does not start a
    re-index: the operator decided against it. Raises WrongState unless this is the standby.
    """

    def work(session: Session) -> Generation:
        lock(session)
        standby = in_state(session, STANDBY)
        if standby is None or standby.id != generation_id:
            raise WrongState(f"generation {generation_id} is not the standby any more")
        standby.configured = configured
        session.flush()
        _switch_to(session, standby.id)
        return active(session)

    return db.write(work)


def _switch_to(session: Session, generation_id: int) -> None:
    """Change all states in one statement: there are never two active generations, or none."""
    now = clock.now(session)
    is_next = Generation.id == generation_id
    session.execute(
        update(Generation)
        .where(or_(is_next, Generation.state.in_((ACTIVE, STANDBY))))
        .values(
            state=case((is_next, ACTIVE), (Generation.state == ACTIVE, STANDBY), else_=RETIRED),
            promoted_at=case((is_next, now), else_=Generation.promoted_at),
            retired_at=case(
                (is_next, null()), (Generation.state == STANDBY, now), else_=Generation.retired_at
            ),
        )
        .execution_options(synchronize_session=False)
    )


def drop(db: Database, generation_id: int) -> Generation:
    """Retire a generation that does not answer queries; its index is deleted in the background.

    Raises UnknownGeneration, and WrongState for the active one. A retired one stays retired.
    """

    def work(session: Session) -> Generation:
        lock(session)
        found = by_id(session, generation_id)
        if found.state == ACTIVE:
            raise WrongState(f"generation {found.id} is the active one: promote another one first")
        if found.state != RETIRED:
            found.state, found.retired_at = RETIRED, clock.now(session)
        return found

    return db.write(work)


def retire_expired(db: Database, *, keep: timedelta) -> Generation | None:
    """Retire and return the standby if `keep` has passed since the promotion of the active one."""

    def is_over(session: Session) -> Generation | None:
        standby, current = in_state(session, STANDBY), in_state(session, ACTIVE)
        if standby is None or current is None or current.promoted_at is None:
            return None
        return standby if current.promoted_at <= clock.now(session) - keep else None

    def work(session: Session) -> Generation | None:
        lock(session)
        standby = is_over(session)
        if standby is not None:
            standby.state, standby.retired_at = RETIRED, clock.now(session)
        return standby

    with db.read() as session:
        if is_over(session) is None:
            return None
    return db.write(work)
