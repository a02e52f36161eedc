"""Pairs of products, as strong as they are now."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import Final, TypeAlias

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from backend.database.models import ProductPair
from backend.events.decay import growth

Partners: TypeAlias = dict[int, float]
"""{other product's id: how often they went together, old times counting less}."""

MOST: Final = 200


def partners(
    session: Session, products: Sequence[int], *, now: datetime, most: int = MOST
) -> dict[int, Partners]:
    """Return up to `most` partners of each product, the strongest ones."""
    if not products:
        return {}
    strongest_first = func.row_number().over(
        partition_by=ProductPair.product_id, order_by=ProductPair.score.desc()
    )
    inner = (
        select(
            ProductPair.product_id,
            ProductPair.other_id,
            ProductPair.score,
            strongest_first.label("rank"),
        )
        .where(ProductPair.product_id.in_(products))
        .subquery()
    )
    rows = session.execute(
        select(inner.c.product_id, inner.c.other_id, inner.c.score)
        .where(inner.c.rank <= most)
        .order_by(inner.c.product_id, inner.c.rank)
    )
    found: dict[int, Partners] = defaultdict(dict)
    scale = growth(now)
    for product, other, score in rows:
        found[product][other] = score / scale
    return found
