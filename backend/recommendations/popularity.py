"""What is popular, trending or new: lists for a shopper of whom nothing is known.

Counting keeps one number for each product and list, so an answer reads the first rows of an index.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta
from functools import cache
from typing import Any, Final, NamedTuple, cast

from sqlalchemy import Select, Table, bindparam, select

from backend.database.models import Product, ProductPopularity
from backend.database.reader import Reader
from backend.events.decay import POPULAR, TRENDING, Decay, day_of
from backend.events.kinds import STRENGTH, Kind

_PRODUCTS: Final = cast("Table", Product.__table__).c
_POPULARITY: Final = cast("Table", ProductPopularity.__table__).c

POPULAR_DAYS: Final = 90
TRENDING_DAYS: Final = 14
"""A product leaves the list when it counts less than one view so many days ago."""


class Popular(NamedTuple):
    """A product, how much was done with it (old acts count less), and its article type."""

    product_id: int
    score: float
    article_type: str | None


def most_liked(reader: Reader, *, now: datetime, limit: int = 100) -> list[Popular]:
    """Return what shoppers did most, best first: an act counts half after 30 days."""
    return _best(reader, "popular", POPULAR, POPULAR_DAYS, now, limit)


def trending(reader: Reader, *, now: datetime, limit: int = 100) -> list[Popular]:
    """Return what shoppers do most at the moment: an act counts half after two days."""
    return _best(reader, "trending", TRENDING, TRENDING_DAYS, now, limit)


def known(reader: Reader, products: Collection[int], *, now: datetime) -> set[int]:
    """Return the products that somebody has done something with in POPULAR_DAYS."""
    if not products:
        return set()
    since = day_of(now) - POPULAR_DAYS
    return {row[0] for row in reader.rows(_known(), {"ids": sorted(products), "since": since})}


@cache
def _known() -> Select[Any]:
    return select(_POPULARITY.product_id).where(
        _POPULARITY.product_id.in_(bindparam("ids", expanding=True)),
        _POPULARITY.last_day > bindparam("since"),
    )


def _best(
    reader: Reader, name: str, decay: Decay, days: int, now: datetime, limit: int
) -> list[Popular]:
    """Return the products with the highest level that are not removed."""
    least = decay.level(STRENGTH[Kind.VIEW], now - timedelta(days=days))
    rows = reader.rows(_highest(name), {"least": least, "limit": limit})
    return [Popular(row[0], decay.amount(row[1], now), row[2]) for row in rows]


@cache
def _highest(name: str) -> Select[Any]:
    level = getattr(ProductPopularity, name)
    return (
        select(ProductPopularity.product_id, level, Product.article_type)
        .join(Product, Product.id == ProductPopularity.product_id)
        .where(Product.removed_at.is_(None), level >= bindparam("least"))
        .order_by(level.desc(), ProductPopularity.product_id)
        .limit(bindparam("limit"))
    )


def newest(
    reader: Reader, *, now: datetime, days: int = 30, limit: int = 100
) -> list[tuple[int, datetime]]:
    """Return (product id, when it came in) of the products of the last days, the newest first."""
    rows = reader.rows(_newest(), {"since": now - timedelta(days=days), "limit": limit})
    return [(row[0], row[1]) for row in rows]


@cache
def _newest() -> Select[Any]:
    return (
        select(_PRODUCTS.id, _PRODUCTS.created_at)
        .where(_PRODUCTS.created_at >= bindparam("since"), _PRODUCTS.removed_at.is_(None))
        .order_by(_PRODUCTS.created_at.desc(), _PRODUCTS.id.desc())
        .limit(bindparam("limit"))
    )
