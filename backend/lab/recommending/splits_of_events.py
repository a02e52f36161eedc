"""Which events are known, and which are to be predicted.

By time: what came after a moment is to be predicted from what came before. Strictly cold: some
products, drawn by the digest of their sku, also lose all that is known of them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias

from sqlalchemy import ColumnElement, delete, func, select, update
from sqlalchemy.orm import Session

from backend.database.engine import Database
from backend.database.models import (
    CategoryPair,
    Event,
    Product,
    ProductDay,
    ProductPair,
    ProductPartners,
    ProductPopularity,
)
from backend.errors import NotEvaluable
from backend.events import counting
from backend.events.kinds import STRENGTH
from backend.events.record import DUE
from backend.lab.evaluation.splits import fraction_of

Person: TypeAlias = tuple[str, str]
"""("shopper", name), or ("session", name) of a visitor without one."""

Predicted: TypeAlias = Mapping[Person, frozenset[int]]
"""The products that each did something with after the split, for the first time."""


@dataclass(frozen=True, kw_only=True)
class Future:
    """When the events are split, what came later, and who was known before."""

    at: datetime
    acts: Predicted
    known: frozenset[Person]


def split(db: Database, *, later: float) -> Future:
    """Take the last share of the events out of a database, and return what they say.

    Raises NotEvaluable if no event has a product of the catalogue.
    """
    with db.read() as session:
        total = session.scalar(select(func.count(Event.id)).where(_tells())) or 0
        middle = session.scalar(
            select(Event.at)
            .where(_tells())
            .order_by(Event.at, Event.id)
            .offset(min(total - 1, int(total * (1 - later))) if total else 0)
            .limit(1)
        )
        if middle is None:
            raise NotEvaluable("no event of the file names a product that has a vector")
        before = _acts(session, Event.at < middle)
        after = _acts(session, Event.at >= middle)
    db.write(lambda session: session.execute(delete(Event).where(Event.at >= middle)))
    acts = {who: frozenset(found - before.get(who, set())) for who, found in after.items()}
    return Future(
        at=middle,
        acts={who: found for who, found in sorted(acts.items()) if found},
        known=frozenset(before),
    )


def count(db: Database, report: Callable[[int, int], None]) -> None:
    """Derive pairs and days from all events of a database, from the beginning."""

    def start(session: Session) -> int:
        session.execute(delete(ProductPair))
        session.execute(delete(ProductPartners))
        session.execute(delete(CategoryPair))
        session.execute(delete(ProductDay))
        session.execute(delete(ProductPopularity))
        session.execute(update(Event).where(Event.product_id.is_not(None)).values(pending=DUE))
        return session.scalar(select(func.count(Event.id)).where(Event.pending == DUE)) or 0

    total, done = db.write(start), 0
    while some := counting.count_some(db):
        done += some
        report(done, total)


def cold_products(db: Database, *, share: float, seed: int) -> frozenset[int]:
    """Return the products that are to be treated as new."""
    with db.read() as session:
        rows = session.execute(select(Product.id, Product.sku))
        return frozenset(row.id for row in rows if fraction_of(row.sku, seed=seed) < share)


def forget(db: Database, products: Collection[int]) -> None:
    """Delete all events of some products."""
    each = sorted(products)

    def work(session: Session) -> None:
        for start in range(0, len(each), 1000):
            part = each[start : start + 1000]
            session.execute(delete(Event).where(Event.product_id.in_(part)))

    db.write(work)


def _tells() -> ColumnElement[bool]:
    return Event.product_id.is_not(None) & Event.kind.in_([kind.value for kind in STRENGTH])


def _acts(session: Session, when: ColumnElement[bool]) -> dict[Person, set[int]]:
    columns = (Event.shopper, Event.session, Event.product_id)
    found: dict[Person, set[int]] = defaultdict(set)
    for shopper, visit, product in session.execute(select(*columns).where(_tells(), when)):
        who = ("session", visit) if shopper is None else ("shopper", shopper)
        if who[1] is not None and product is not None:
            found[who[0], who[1]].add(product)
    return dict(found)
