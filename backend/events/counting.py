"""New events become pairs of products and counts of days: each event once, whatever is killed.

An event that is not counted yet has `pending`. One transaction adds what some events say and clears
their `pending`, so a kill leaves both undone or both done. One process counts at a time.

Two products make a pair when a shopper, or a session, did something with both: fully in one basket
or session, and half as much for every WEEK between them. The one that is counted later adds the
pair. The same act with the same product on the same day counts once.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import sqrt
from typing import Any, Final, TypeAlias

from sqlalchemy import Select, and_, delete, func, select, update
from sqlalchemy.orm import Session

from backend.database import locks
from backend.database.engine import Database
from backend.database.locks import Lock
from backend.database.models import Event, Product, ProductDay, ProductPair
from backend.database.upsert import upsert
from backend.events import outcomes
from backend.events.decay import day_of, growth
from backend.events.kinds import STRENGTH, Kind
from backend.events.record import DUE, UNKNOWN

AT_ONCE: Final = 1000
"""Events in one transaction."""

WEEK: Final = timedelta(days=7)
WINDOW: Final = timedelta(days=30)
"""Acts that are further apart make no pair."""

MOST_OTHERS: Final = 50
"""Acts of a shopper that one more act makes pairs with: the newest ones."""

PARTNERS: Final = 200
"""Pairs that a product keeps: the strongest ones. They are cut when there are twice as many."""


@dataclass(frozen=True)
class Act:
    """An event whose product is known, with what counts of it."""

    id: int
    product_id: int
    kind: Kind
    at: datetime
    shopper: str | None
    session: str | None
    basket: str | None

    @property
    def people(self) -> list[tuple[str, str]]:
        """Who did it: a shopper and a session, as far as they are known."""
        found = (("shopper", self.shopper), ("session", self.session))
        return [(what, name) for what, name in found if name is not None]

    @property
    def key(self) -> tuple[object, ...]:
        """What is equal for acts of which one counts: who, what, with which product, which day."""
        who = self.people[0] if self.people else ("event", str(self.id))
        return (who, self.kind, self.product_id, day_of(self.at))


History: TypeAlias = dict[tuple[str, str], list[Act]]
"""The acts of each person, the oldest first: {("shopper", name): acts}."""

_COLUMNS: Final = (
    Event.id,
    Event.product_id,
    Event.kind,
    Event.at,
    Event.shopper,
    Event.session,
    Event.basket,
)


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
        select(*_COLUMNS, Event.recommendation)
        .where(Event.pending == DUE)
        .order_by(Event.id)
        .limit(limit)
    ).all()
    if not due:
        return 0
    outcomes.add(
        session,
        [outcomes.Act(it.product_id, it.kind, it.at, it[-1]) for it in due if it[-1] is not None],
    )
    acts = [_act(row[: len(_COLUMNS)]) for row in due if row.kind in STRENGTH]
    history = _history(session, acts)
    fresh = _without_repeated(acts, history)
    _add_days(session, fresh)
    _add_pairs(session, fresh, history)
    done = update(Event).where(Event.id.in_([row.id for row in due])).values(pending=None)
    session.execute(done, execution_options={"synchronize_session": False})
    return len(due)


def _act(row: Any) -> Act:
    id_, product_id, kind, at, *who = row
    return Act(id_, product_id, Kind(kind), at, *who)


def _without_repeated(acts: Sequence[Act], history: History) -> list[Act]:
    """Return the acts of which no equal one was counted before, or comes before in the list."""
    counted = {other.key for others in history.values() for other in others}
    fresh: dict[tuple[object, ...], Act] = {}
    for act in acts:
        if act.key not in counted:
            fresh.setdefault(act.key, act)
    return list(fresh.values())


# --- days --------------------------------------------------------------------------------------


def _add_days(session: Session, acts: Iterable[Act]) -> None:
    sums: dict[tuple[int, int], list[float]] = defaultdict(lambda: [0.0, 0])
    for act in acts:
        found = sums[day_of(act.at), act.product_id]
        found[0] += STRENGTH[act.kind]
        found[1] += 1
    rows = [
        {"day": day, "product_id": product, "score": score, "events": int(events)}
        for (day, product), (score, events) in sorted(sums.items())
    ]
    if rows:
        insert = upsert(session, ProductDay)
        added = insert.on_conflict_do_update(
            index_elements=["day", "product_id"],
            set_={
                "score": ProductDay.score + insert.excluded.score,
                "events": ProductDay.events + insert.excluded.events,
            },
        )
        session.execute(added, rows)


# --- pairs -------------------------------------------------------------------------------------


def _add_pairs(session: Session, acts: Sequence[Act], history: History) -> None:
    sums: dict[tuple[int, int], list[float]] = defaultdict(lambda: [0.0, 0])
    for one, other, added in _pairs(acts, history):
        both = ((one.product_id, other.product_id), (other.product_id, one.product_id))
        for pair in both:
            sums[pair][0] += added
            sums[pair][1] += 1
    if not sums:
        return
    rows = [
        {"product_id": one, "other_id": other, "score": score, "times": int(times)}
        for (one, other), (score, times) in sorted(sums.items())
    ]
    insert = upsert(session, ProductPair)
    summed = insert.on_conflict_do_update(
        index_elements=["product_id", "other_id"],
        set_={
            "score": ProductPair.score + insert.excluded.score,
            "times": ProductPair.times + insert.excluded.times,
        },
    )
    session.execute(summed, rows)
    _keep_strongest(session, sorted({one for one, _ in sums}))


def _pairs(acts: Sequence[Act], history: History) -> Iterator[tuple[Act, Act, float]]:
    """Yield each act with others of the same person, and what the pair adds to a sum.

    Of several acts with one other product, the one that adds most counts.
    """
    for act in acts:
        best: dict[int, tuple[Act, Act, float]] = {}  # by product
        for person in act.people:
            for other in history[person][-MOST_OTHERS:]:
                added = _added(act, other)
                if added > (best[other.product_id][2] if other.product_id in best else 0.0):
                    best[other.product_id] = (act, other, added)
        best.pop(act.product_id, None)
        yield from best.values()
        for person in act.people:
            history[person].append(act)


def _added(one: Act, other: Act) -> float:
    strength = sqrt(STRENGTH[one.kind] * STRENGTH[other.kind])
    return strength * _closeness(one, other) * growth(max(one.at, other.at))


def _closeness(one: Act, other: Act) -> float:
    if one.basket is not None and one.basket == other.basket:
        return 1.0
    if one.session is not None and one.session == other.session:
        return 1.0
    apart = abs(one.at - other.at)
    return 0.0 if apart > WINDOW else 2.0 ** -(apart / WEEK)


def _history(session: Session, acts: Sequence[Act]) -> History:
    """Return the newest counted acts of each person, the oldest first."""
    found: History = defaultdict(list)
    for column, attribute in ((Event.shopper, "shopper"), (Event.session, "session")):
        names = sorted({name for act in acts for what, name in act.people if what == attribute})
        if names:
            first = min(act.at for act in acts) - WINDOW
            for row in session.execute(_newest(column, names, first)):
                act = _act(row)
                found[attribute, getattr(act, attribute)].append(act)
    return found


def _newest(column: Any, names: Sequence[str], first: datetime) -> Select[Any]:
    """Return a query for the newest counted events of each name."""
    newest_first = func.row_number().over(partition_by=column, order_by=Event.at.desc())
    inner = (
        select(*_COLUMNS, newest_first.label("rank"))
        .where(
            column.in_(names),
            Event.at >= first,
            Event.pending.is_(None),
            Event.product_id.is_not(None),
            Event.kind.in_([kind.value for kind in STRENGTH]),
        )
        .subquery()
    )
    columns = [inner.c[it.key] for it in _COLUMNS]
    return select(*columns).where(inner.c.rank <= MOST_OTHERS).order_by(inner.c.at)


def _keep_strongest(session: Session, products: Sequence[int]) -> None:
    """Delete the weakest pairs of products that have many more than PARTNERS."""
    crowded = session.scalars(
        select(ProductPair.product_id)
        .where(ProductPair.product_id.in_(products))
        .group_by(ProductPair.product_id)
        .having(func.count() > 2 * PARTNERS)
    ).all()
    for product in crowded:
        least = session.scalar(
            select(ProductPair.score)
            .where(ProductPair.product_id == product)
            .order_by(ProductPair.score.desc())
            .offset(PARTNERS - 1)
            .limit(1)
        )
        weak = and_(ProductPair.product_id == product, ProductPair.score < least)
        session.execute(delete(ProductPair).where(weak))
