"""What is popular, trending or new: lists for a shopper of whom nothing is known.

Counting keeps one number for each product and list, so an answer reads the first rows of an index.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

from sqlalchemy import select
from sqlalchemy.orm import InstrumentedAttribute, Session

from backend.database.models import Product, ProductPopularity
from backend.events.decay import POPULAR, TRENDING, Decay, day_of
from backend.events.kinds import STRENGTH, Kind

POPULAR_DAYS: Final = 90
TRENDING_DAYS: Final = 14
"""A product leaves the list when it counts less than one view so many days ago."""


class Popular(NamedTuple):
    """A product, how much was done with it (old acts count less), and its article type."""

    product_id: int
    score: float
    article_type: str | None


def most_liked(session: Session, *, now: datetime, limit: int = 100) -> list[Popular]:
    """Return what shoppers did most, best first: an act counts half after 30 days."""
    return _best(session, ProductPopularity.popular, POPULAR, POPULAR_DAYS, now, limit)


def trending(session: Session, *, now: datetime, limit: int = 100) -> list[Popular]:
    """Return what shoppers do most at the moment: an act counts half after two days."""
    return _best(session, ProductPopularity.trending, TRENDING, TRENDING_DAYS, now, limit)


def known(session: Session, products: Collection[int], *, now: datetime) -> set[int]:
    """Return the products that somebody has done something with in POPULAR_DAYS."""
    if not products:
        return set()
    rows = session.scalars(
        select(ProductPopularity.product_id).where(
            ProductPopularity.product_id.in_(sorted(products)),
            ProductPopularity.last_day > day_of(now) - POPULAR_DAYS,
        )
    )
    return set(rows)


def _best(
    session: Session,
    level: InstrumentedAttribute[float],
    decay: Decay,
    days: int,
    now: datetime,
    limit: int,
) -> list[Popular]:
    """Return the products with the highest level that are not removed."""
    least = decay.level(STRENGTH[Kind.VIEW], now - timedelta(days=days))
    rows: Sequence[Any] = session.execute(
        select(ProductPopularity.product_id, level, Product.article_type)
        .join(Product, Product.id == ProductPopularity.product_id)
        .where(Product.removed_at.is_(None), level >= least)
        .order_by(level.desc(), ProductPopularity.product_id)
        .limit(limit)
    ).all()
    return [Popular(row[0], decay.amount(row[1], now), row[2]) for row in rows]


def newest(
    session: Session, *, now: datetime, days: int = 30, limit: int = 100
) -> list[tuple[int, datetime]]:
    """Return (product id, when it came in) of the products of the last days, the newest first."""
    rows = session.execute(
        select(Product.id, Product.created_at)
        .where(Product.created_at >= now - timedelta(days=days), Product.removed_at.is_(None))
        .order_by(Product.created_at.desc(), Product.id.desc())
        .limit(limit)
    )
    return [(row[0], row[1]) for row in rows]
