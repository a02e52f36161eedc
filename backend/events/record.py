"""Events come in: one INSERT for many, each event once, also when a client sends it again."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from backend.catalogue import skus
from backend.database.models import Event, Product
from backend.database.upsert import upsert
from backend.errors import InvalidEvent
from backend.events.kinds import Kind

DUE: Final = 1
UNKNOWN: Final = 2
"""States of `Event.pending`: to be counted; to be joined with a product that comes later."""

MOST_AHEAD: Final = timedelta(hours=24)
"""How far a client's clock may be ahead. Such an event counts as of now."""

MOST_TEXT: Final = 128
"""Characters of an id, a shopper, a session or a basket."""


@dataclass(frozen=True, kw_only=True)
class NewEvent:
    """An event as a client or a file gives it. At least the kind and the sku are needed.

    `id` names the event, so that it is stored once; without one, events that are equal in all else
    are the same. `at` is None for now. `basket` is an order or a cart, `recommendation` the
    `recommendation_id` of the answer that the shopper followed.
    """

    kind: Kind
    sku: str
    id: str | None = None
    user: str | None = None
    session: str | None = None
    at: datetime | None = None
    basket: str | None = None
    recommendation: str | None = None


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """How many events were stored, were there before, and name a product that is not known yet."""

    stored: int
    duplicates: int
    unknown: int


def checked_at(at: datetime | None, *, now: datetime, days: int) -> datetime:
    """Return when an event happened, by a clock that may be wrong; no later than now.

    Raises InvalidEvent for a time more than MOST_AHEAD in the future, or older than what is kept.
    """
    if at is None:
        return now
    if at.tzinfo is None:
        raise _refused_time("the time has no time zone; write 2026-01-31T12:00:00Z")
    if at - now > MOST_AHEAD:
        raise _refused_time(f"{at.isoformat()} is more than a day in the future")
    if now - at > timedelta(days=days):
        raise _refused_time(f"{at.isoformat()} is older than the {days} days that are kept")
    return min(at, now)


def _refused_time(reason: str) -> InvalidEvent:
    return InvalidEvent(f"at: {reason}", errors=[{"field": "at", "reason": reason}])


def with_checked_time(event: NewEvent, *, now: datetime, days: int) -> NewEvent:
    """Return an event with the time at which it counts; raises as `checked_at` does.

    An event without an id gets the one of its content before, so that it is the same later.
    """
    name = event.id or _id_of(event)
    return replace(event, id=name, at=checked_at(event.at, now=now, days=days))


def record(session: Session, events: Sequence[NewEvent], *, now: datetime) -> Recorded:
    """Store events with checked times (`with_checked_time`). A known id changes nothing."""
    if not events:
        return Recorded(stored=0, duplicates=0, unknown=0)
    names = {skus.normalise(event.sku) for event in events}
    ids = _product_ids(session, sorted(names))
    rows = [_row(event, ids, now) for event in events]
    insert = upsert(session, Event).on_conflict_do_nothing(index_elements=["event_id"])
    stored = session.execute(insert.returning(Event.pending), rows).scalars().all()
    return Recorded(
        stored=len(stored),
        duplicates=len(rows) - len(stored),
        unknown=sum(pending == UNKNOWN for pending in stored),
    )


def _product_ids(session: Session, names: Sequence[str]) -> dict[str, int]:
    rows = session.execute(select(Product.sku, Product.id).where(Product.sku.in_(names)))
    return {row.sku: row.id for row in rows}


def _row(event: NewEvent, ids: dict[str, int], now: datetime) -> dict[str, object]:
    sku = skus.normalise(event.sku)
    product_id = ids.get(sku)
    return {
        "event_id": event.id,
        "product_id": product_id,
        "sku": sku,
        "shopper": event.user,
        "session": event.session,
        "kind": event.kind.value,
        "at": event.at or now,
        "basket": event.basket,
        "recommendation": event.recommendation,
        "pending": UNKNOWN if product_id is None else DUE,
    }


def _id_of(event: NewEvent) -> str | None:
    """Return an id that is the same for equal events; None without a time, which makes two."""
    if event.at is None:
        return None
    parts = (event.kind, event.sku, event.user, event.session, event.at.isoformat(), event.basket)
    text = "\0".join("" if part is None else f"={part}" for part in parts)
    return "content:" + hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
