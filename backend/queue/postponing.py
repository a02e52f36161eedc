"""Rows that wait for the host: a server, a device or a disk that does not work now.

Such a row is not at fault. It keeps its reason, its failures are not counted, and it is due again
until it succeeds. It differs from a row that failed itself: `last_error` is set, no failure is
counted, and something is left to do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from sqlalchemy import ColumnElement, and_, case, func, null, or_, select, update
from sqlalchemy.orm import Session

from backend.database import clock
from backend.queue.entries import (
    IS_OUR_CLAIM,
    REINDEX,
    SAME_IMAGE,
    Claimed,
    Entry,
    Stage,
    update_and_count,
    update_claimed,
    waits_for,
)

HEALING: Final = 1000
"""Rows of the quarantine that one call of `heal` requests again."""


@dataclass(frozen=True)
class WaitingRows:
    """How many products wait for the host for one reason."""

    reason: str
    products: int


def postpone(
    session: Session,
    generation_id: int,
    rows: Sequence[tuple[Claimed, str, timedelta]],
    *,
    forget: bool = False,
) -> int:
    """Give back (row, reason, wait) of the embed stage: what was claimed did not count as a try.

    With `forget`, tries before it do not count either.

    Rows that another worker has claimed since do not change. If the shop has sent another image
    meanwhile, or removed the product, the row is due at once. Returns how many rows changed.
    """
    now = clock.now(session)
    changed = 0
    for (reason, wait), same in _by_reason(rows).items():
        values = {
            "failures": case(
                (SAME_IMAGE, 0 if forget else Entry.failures - 1), else_=Entry.failures
            ),
            "last_error": case((SAME_IMAGE, reason), else_=Entry.last_error),
            "due_at": case((SAME_IMAGE, now + wait), else_=now),
        }
        changed += update_claimed(session, generation_id, same, values)
    return changed


def postpone_apply(
    session: Session, generation_id: int, rows: Sequence[Claimed], reason: str, wait: timedelta
) -> int:
    """Give back rows of the apply stage that cannot be applied now; return how many changed.

    Rows that are settled, or requested meanwhile, do not change. The reason of an image that
    failed, which `failures` still counts, stays.
    """
    values = {
        "due_at": clock.now(session) + wait,
        "last_error": case((Entry.failures == 0, reason), else_=Entry.last_error),
    }
    is_left = and_(IS_OUR_CLAIM, waits_for(Stage.APPLY))
    return update_claimed(session, generation_id, rows, values, where=is_left)


def waits_for_host() -> ColumnElement[bool]:
    """Return the condition under which a row waits for the host, and for nothing else."""
    return and_(
        Entry.due_at.is_not(None),
        Entry.last_error.is_not(None),
        Entry.failures == 0,
        or_(Entry.embedded < Entry.wanted, Entry.indexed < Entry.wanted),
    )


def waiting_by_reason(
    session: Session, generation_id: int, *, limit: int = 20
) -> list[WaitingRows]:
    """Count the rows that wait for the host, by reason, the most frequent first."""
    count = func.count()
    rows = session.execute(
        select(Entry.last_error, count)
        .where(Entry.generation_id == generation_id, waits_for_host())
        .group_by(Entry.last_error)
        .order_by(count.desc(), Entry.last_error)
        .limit(limit)
    )
    return [WaitingRows(reason or "", products) for reason, products in rows]


def count_waiting(session: Session, generation_id: int) -> int:
    """Count the rows that wait for the host."""
    rows = select(func.count()).where(Entry.generation_id == generation_id, waits_for_host())
    return session.scalar(rows) or 0


def heal(session: Session, generation_id: int, *, codes: Sequence[str]) -> int:
    """Request rows again that are in quarantine for a reason with one of these codes.

    They are tried like new ones, at the lowest priority. Returns how many; there may be more.
    """
    now = clock.now(session)
    chosen = (
        select(Entry.product_id)
        .where(Entry.generation_id == generation_id, Entry.due_at.is_(None))
        .where(or_(*(Entry.last_error.startswith(f"{code}:", autoescape=True) for code in codes)))
        .order_by(Entry.product_id)
        .limit(HEALING)
        .with_for_update(skip_locked=True)
    )
    ids = list(session.scalars(chosen))
    again = update(Entry).where(Entry.generation_id == generation_id, Entry.product_id.in_(ids))
    return update_and_count(
        session,
        again.where(Entry.due_at.is_(None)).values(
            wanted=Entry.wanted + 1,
            failures=0,
            last_error=null(),
            priority=REINDEX,
            requested_at=now,
            due_at=now,
        ),
    )


def _by_reason(
    rows: Sequence[tuple[Claimed, str, timedelta]],
) -> dict[tuple[str, timedelta], list[Claimed]]:
    found: dict[tuple[str, timedelta], list[Claimed]] = {}
    for row, reason, wait in rows:
        found.setdefault((reason, wait), []).append(row)
    return found
