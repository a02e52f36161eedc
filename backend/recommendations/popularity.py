"""What is popular, trending or new: lists for a shopper of whom nothing is known."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Float, Integer, column, func, select, values
from sqlalchemy.orm import Session

from backend.database.models import Product, ProductDay
from backend.events.decay import day_of

POPULAR_DAYS: Final = 90
POPULAR_HALF_LIFE: Final = 30
TRENDING_DAYS: Final = 14
TRENDING_HALF_LIFE: Final = 2
"""Days."""


def most_liked(
    session: Session,
    *,
    now: datetime,
    days: int = POPULAR_DAYS,
    half_life: float = POPULAR_HALF_LIFE,
    limit: int = 100,
) -> list[tuple[int, float]]:
    """Return (product id, score), best first, of what shoppers did most in the last days.

    An act counts half after `half_life` days. Removed products are left out.
    """
    today = day_of(now)
    # SQLite may lack the function `power`, and a CASE of many days is slow in each row.
    weights = (
        values(column("day", Integer), column("weight", Float), name="weights")
        .data([(today - ago, 2.0 ** (-ago / half_life)) for ago in range(days)])
        .cte("weights")
    )
    score = func.sum(ProductDay.score * weights.c.weight)
    rows = session.execute(
        select(ProductDay.product_id, score)
        .join(weights, weights.c.day == ProductDay.day)
        .join(Product, Product.id == ProductDay.product_id)
        .where(Product.removed_at.is_(None))
        .group_by(ProductDay.product_id)
        .order_by(score.desc(), ProductDay.product_id)
        .limit(limit)
    )
    return [(row[0], float(row[1])) for row in rows]


def trending(session: Session, *, now: datetime, limit: int = 100) -> list[tuple[int, float]]:
    """Return (product id, score) of what shoppers do most at the moment."""
    return most_liked(
        session, now=now, days=TRENDING_DAYS, half_life=TRENDING_HALF_LIFE, limit=limit
    )


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
