"""New events become pairs of products and counts of days: each event once, whatever is killed.

An event that is not counted yet has `pending`. One transaction adds what some events say and clears
their `pending`, so a kill leaves both undone or both done. One process counts at a time.

The same act with the same product on the same day counts once. Tables are written by rows that are
summed before, and by statements without objects: most of the time goes into writing pairs.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any, Final, cast

from sqlalchemy import Table, select, update
from sqlalchemy.orm import Session

from backend.database import locks
from backend.database.engine import Database
from backend.database.locks import Lock
from backend.database.models import Event, Product, ProductDay, ProductPopularity
from backend.database.upsert import upsert
from backend.events import outcomes
from backend.events.acts import COLUMNS, Act, History, history_of
from backend.events.decay import POPULAR, TRENDING, added, day_of
from backend.events.kinds import STRENGTH
from backend.events.pairing import MOST_OTHERS, WINDOW, add_pairs
from backend.events.record import DUE, UNKNOWN

AT_ONCE: Final = 2000
"""Events in one transaction. On SQLite other writers wait for it, about half a second."""

_EVENTS: Final = cast("Table", Event.__table__)
_DAYS: Final = cast("Table", ProductDay.__table__)
_POPULARITY: Final = cast("Table", ProductPopularity.__table__)


def count_some(db: Database, *, limit: int = AT_ONCE) -> int:
    """Count up to `limit` events that are not counted yet; return how many it was."""
    with db.read() as session:
        if session.scalar(select(Event.id).where(Event.pending == DUE).limit(1)) is None:
            return 0
    return db.write(lambda session: _count(session, limit))


def join_known(db: Database, *, limit: int = 10_000) -> int:
    """Give events their product where it has come meanwhile; return how many it was."""
    with db.read() as session:
        rows = session.execute(
            select(Event.id, Product.id)
            .join(Product, Product.sku == Event.sku)
            .where(Event.pending == UNKNOWN)
            .limit(limit)
        ).all()
    if not rows:
        return 0
    values = [{"id": event, "product_id": product, "pending": DUE} for event, product in rows]
    db.write(lambda session: session.execute(update(Event), values))
    return len(rows)


def _count(session: Session, limit: int) -> int:
    locks.hold(session, Lock.EVENTS)
    due = session.execute(
        select(*COLUMNS, _EVENTS.c.recommendation)
        .where(_EVENTS.c.pending == DUE)
        .order_by(_EVENTS.c.id)
        .limit(limit)
    ).all()
    if not due:
        return 0
    outcomes.add(
        session,
        [
            outcomes.AttributedEvent(it.product_id, it.kind, it.at, it.recommendation)
            for it in due
            if it.recommendation is not None
        ],
    )
    acts = [Act(row) for row in due if row.kind in STRENGTH]
    if acts:
        since = min(act.at for act in acts) - WINDOW
        history = history_of(session, acts, since=since, most=MOST_OTHERS)
        fresh = _without_repeated(acts, history)
        _add_days(session, fresh)
        _add_popularity(session, fresh)
        add_pairs(session, fresh, history)
    done = update(_EVENTS).where(_EVENTS.c.id.in_([row.id for row in due])).values(pending=None)
    session.execute(done)
    return len(due)


def _without_repeated(acts: Sequence[Act], history: History) -> list[Act]:
    """Return the acts of which no equal one was counted before, or comes before in the list."""
    counted = {other.key for others in history.values() for other in others}
    fresh: dict[tuple[object, ...], Act] = {}
    for act in acts:
        if act.key not in counted:
            fresh.setdefault(act.key, act)
    return list(fresh.values())


def _add_days(session: Session, acts: Sequence[Act]) -> None:
    sums: dict[tuple[int, int], list[Any]] = defaultdict(lambda: [0.0, 0])
    for act in acts:
        found = sums[day_of(act.at), act.product_id]
        found[0] += STRENGTH[act.kind]
        found[1] += 1
    rows = [
        {"day": day, "product_id": product, "score": score, "events": events}
        for (day, product), (score, events) in sorted(sums.items())
    ]
    if rows:
        insert = upsert(session, _DAYS)
        summed = insert.on_conflict_do_update(
            index_elements=["day", "product_id"],
            set_={
                "score": _DAYS.c.score + insert.excluded.score,
                "events": _DAYS.c.events + insert.excluded.events,
            },
        )
        session.execute(summed, rows)


def _add_popularity(session: Session, acts: Sequence[Act]) -> None:
    """Add acts to the sums of their products. SQLite cannot add logarithms, so they are read."""
    products = sorted({act.product_id for act in acts})
    if not products:
        return
    rows = session.execute(select(_POPULARITY).where(_POPULARITY.c.product_id.in_(products)))
    sums: dict[int, dict[str, Any]] = {row.product_id: row._asdict() for row in rows}
    for act in acts:
        new = {
            "product_id": act.product_id,
            "popular": POPULAR.level(STRENGTH[act.kind], act.at),
            "trending": TRENDING.level(STRENGTH[act.kind], act.at),
            "last_day": day_of(act.at),
        }
        found = sums.setdefault(act.product_id, new)
        if found is not new:
            found["popular"] = added(found["popular"], new["popular"])
            found["trending"] = added(found["trending"], new["trending"])
            found["last_day"] = max(found["last_day"], new["last_day"])
    insert = upsert(session, _POPULARITY)
    names = ("popular", "trending", "last_day")
    replaced = insert.on_conflict_do_update(
        index_elements=["product_id"], set_={name: insert.excluded[name] for name in names}
    )
    session.execute(replaced, [sums[product] for product in products])
