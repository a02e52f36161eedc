"""Pairs of products, as strong as they are now."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import cache
from typing import Any, Final, TypeAlias, cast

from sqlalchemy import Select, Table, bindparam, func, select
from sqlalchemy.orm import Session

from backend.database.models import Product, ProductPair
from backend.database.reader import Reader
from backend.events.decay import growth

Partners: TypeAlias = dict[int, float]
"""{other product's id: how often they went together, old times counting less}."""

MOST: Final = 200

_PAIRS: Final = cast("Table", ProductPair.__table__)
_PRODUCTS: Final = cast("Table", Product.__table__)


def partners(
    session: Session, products: Sequence[int], *, now: datetime, most: int = MOST
) -> dict[int, Partners]:
    """Return up to `most` partners of each product, the strongest first.

    A product that has none is left out.
    """
    if not products:
        return {}
    found: dict[int, Partners] = {}
    scale = growth(now)
    rows = session.execute(_strongest(), {"ids": list(products), "rank": most - 1})
    for product, other, score in rows.all():
        of_product = found.setdefault(product, {})
        if len(of_product) < most:  # several may be as strong as the last one
            of_product[other] = score / scale
    return found


def partners_of(
    connection: Reader, product_id: int, *, now: datetime, most: int = MOST
) -> Partners:
    """Return up to `most` partners of one product, the strongest first."""
    rows = connection.rows(_strongest_of_one(), {"product_id": product_id, "most": most})
    scale = growth(now)
    return {other: score / scale for other, score in rows}


@cache
def _strongest_of_one() -> Select[Any]:
    return (
        select(_PAIRS.c.other_id, _PAIRS.c.score)
        .where(_PAIRS.c.product_id == bindparam("product_id"))
        .order_by(_PAIRS.c.score.desc(), _PAIRS.c.other_id)
        .limit(bindparam("most"))
    )


@cache
def _strongest() -> Select[Any]:
    """Return the query: from the index, each product's pairs down to the one at that rank.

    A window function reads all pairs of each product, which may be twice as many as are kept.
    """
    others = _PAIRS.alias()
    least = (
        select(others.c.score)
        .where(others.c.product_id == _PRODUCTS.c.id)
        .order_by(others.c.score.desc())
        .offset(bindparam("rank"))
        .limit(1)
        .correlate(_PRODUCTS)
        .scalar_subquery()
    )
    wanted = (
        select(_PRODUCTS.c.id, func.coalesce(least, 0.0).label("least"))
        .where(_PRODUCTS.c.id.in_(bindparam("ids", expanding=True)))
        .subquery()
    )
    return (
        select(_PAIRS.c.product_id, _PAIRS.c.other_id, _PAIRS.c.score)
        .select_from(wanted)
        .join(
            _PAIRS,
            (_PAIRS.c.product_id == wanted.c.id) & (_PAIRS.c.score >= wanted.c.least),
        )
        .order_by(_PAIRS.c.product_id, _PAIRS.c.score.desc(), _PAIRS.c.other_id)
    )
