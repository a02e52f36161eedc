"""New events become pairs of products and counts of days: each event once, whatever is killed.

An event that is not counted yet has `pending`. One transaction adds what some events say and clears
their `pending`, so a kill leaves both undone or both done. One process counts at a time.

The same act with the same product on the same day counts once. Acts are summed as arrays (`acts`,
`sums`) before they are written.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, cast

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Table, select, update
from sqlalchemy.orm import Session

from backend.database import locks
from backend.database.engine import Database
from backend.database.locks import Lock
from backend.database.many_rows import is_among
from backend.database.models import Event, Product, ProductDay, ProductPopularity
from backend.database.sqlite_file import enlarge_cache
from backend.database.upsert import execute_rows, upsert
from backend.events import outcomes
from backend.events.acts import ActReader, Acts, moment_of, times_of
from backend.events.decay import POPULAR, TRENDING
from backend.events.kinds import STRENGTH
from backend.events.pairing import MOST_OTHERS, WINDOW, Histories, add_pairs
from backend.events.record import DUE, UNKNOWN
from backend.events.sums import as_rows, group

AT_ONCE: Final = 4000
"""Events in one transaction. On SQLite other writers wait for it, about half a second. Events that
are counted together add to the same products, and these are written once."""

CACHE_KIB: Final = 64 * 1024
"""Memory for SQLite's pages. A transaction writes all over several tables: with 2 MB, as SQLite has
it, pages are written and read again within it."""

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
    enlarge_cache(session, CACHE_KIB)
    reader = ActReader(session)
    due = reader.due(DUE, limit=limit)
    if not due:
        return 0
    _add_outcomes(session, [it for it in due if it.recommendation is not None])
    acts = reader.acts(due)
    if len(acts):
        since = moment_of(acts.at.min()) - WINDOW
        histories = Histories(
            *(
                reader.history(who, _names(due, who), since=since, most=MOST_OTHERS)
                for who in Histories._fields
            )
        )
        fresh = acts.where(_first_of_each(acts, histories))
        _add_days(session, fresh)
        _add_popularity(session, fresh)
        add_pairs(session, fresh, histories)
    is_done = is_among(session, _EVENTS.c.id, [row.id for row in due])
    session.execute(update(_EVENTS).where(is_done).values(pending=None))
    return len(due)


def _add_outcomes(session: Session, rows: Sequence[Any]) -> None:
    moments = map(moment_of, times_of([it.at for it in rows]).tolist())
    outcomes.add(
        session,
        [
            outcomes.AttributedEvent(it.product_id, it.kind, at, it.recommendation)
            for it, at in zip(rows, moments, strict=True)
        ],
    )


def _names(rows: Sequence[Any], who: str) -> list[str]:
    acts = (row for row in rows if row.kind in STRENGTH)
    return sorted({name for row in acts if (name := getattr(row, who)) is not None})


def _first_of_each(acts: Acts, histories: Histories) -> NDArray[np.int64]:
    """Return the places of the acts of which no equal one was counted before, or comes before."""
    all_ = histories.shopper.followed_by(histories.session).followed_by(acts)
    what = group(group(all_.person, all_.product).place, group(all_.day, all_.kind).place).place
    _, first = np.unique(what, return_index=True)
    before = len(all_) - len(acts)
    return np.sort(first[first >= before]) - before


def _add_days(session: Session, acts: Acts) -> None:
    days = group(acts.day, acts.product)
    if not len(days.one):
        return
    sums = (days.one, days.other, days.sum(acts.strength), days.rows())
    insert = upsert(session, _DAYS)
    summed = insert.on_conflict_do_update(
        index_elements=["day", "product_id"],
        set_={
            "score": _DAYS.c.score + insert.excluded.score,
            "events": _DAYS.c.events + insert.excluded.events,
        },
    )
    execute_rows(session, summed, ("day", "product_id", "score", "events"), as_rows(*sums))


def _add_popularity(session: Session, acts: Acts) -> None:
    """Add acts to the sums of their products. SQLite cannot add logarithms, so they are read."""
    products, place = np.unique(acts.product, return_inverse=True)
    if not len(products):
        return
    nothing = np.full(len(products), -np.inf)
    levels = {"popular": nothing.copy(), "trending": nothing.copy()}
    last_day = np.zeros(len(products), np.int64)
    ids = products.tolist()
    for row in session.execute(
        select(_POPULARITY).where(is_among(session, _POPULARITY.c.product_id, ids))
    ):
        at = int(products.searchsorted(row.product_id))
        levels["popular"][at], levels["trending"][at] = row.popular, row.trending
        last_day[at] = row.last_day
    for name, decay in (("popular", POPULAR), ("trending", TRENDING)):
        added = np.log2(acts.strength) + acts.since_landmark(decay.half_life)
        np.logaddexp2.at(levels[name], place, added)
    np.maximum.at(last_day, place, acts.day)
    names = ("product_id", "popular", "trending", "last_day")
    insert = upsert(session, _POPULARITY)
    replaced = insert.on_conflict_do_update(
        index_elements=["product_id"], set_={name: insert.excluded[name] for name in names[1:]}
    )
    rows = as_rows(products, levels["popular"], levels["trending"], last_day)
    execute_rows(session, replaced, names, rows)
