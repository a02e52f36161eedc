"""All that is stored of one shopper: shown to them, or deleted."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, cast

from sqlalchemy import ColumnElement, CursorResult, delete, or_, select
from sqlalchemy.orm import Session

from backend.database.models import Event, ListedAnswer
from backend.events import answers


def events_of(session: Session, user: str, *, after_id: int = 0, limit: int = 100) -> list[Event]:
    """Return a shopper's events, and those of their sessions, in the order they came in."""
    rows = session.scalars(
        select(Event).where(_of(session, user), Event.id > after_id).order_by(Event.id).limit(limit)
    )
    return list(rows)


def answers_of(
    session: Session, user: str, *, after: str = "", limit: int = 100
) -> list[ListedAnswer]:
    """Return the lists of the last day for a shopper, and for their sessions, by their ids."""
    visits = _visits(session, user)
    return answers.listed_for(session, user, visits, after=after, limit=limit)


def forget(session: Session, user: str) -> int:
    """Delete a shopper's events, and those of their sessions; return how many there were.

    Lists that were made for them go too. Pairs and counts of days stay: they name nobody.
    """
    answers.forget(session, user, _visits(session, user))
    gone = delete(Event).where(_of(session, user))
    result = session.execute(gone, execution_options={"synchronize_session": False})
    return cast("CursorResult[Any]", result).rowcount


def _of(session: Session, user: str) -> ColumnElement[bool]:
    own = _visits(session, user)
    mine = Event.session.in_(own) & (Event.shopper.is_(None) | (Event.shopper == user))
    return or_(Event.shopper == user, mine)


def _visits(session: Session, user: str) -> list[str]:
    own = select(Event.session).where(Event.shopper == user, Event.session.is_not(None)).distinct()
    return [visit for visit in session.scalars(own) if visit is not None]


def delete_old(session: Session, *, now: datetime, days: int, limit: int = 10_000) -> int:
    """Delete some of the events that are older than they are kept; return how many."""
    old = (
        select(Event.id)
        .where(Event.at < now - timedelta(days=days))
        .order_by(Event.at)
        .limit(limit)
    )
    gone = delete(Event).where(Event.id.in_(old.scalar_subquery()))
    result = session.execute(gone, execution_options={"synchronize_session": False})
    return cast("CursorResult[Any]", result).rowcount
