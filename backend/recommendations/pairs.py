"""Pairs of products, as strong as they are now."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from functools import cache
from typing import Any, Final, NamedTuple, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Select, Table, bindparam, func, select

from backend.database.models import Product, ProductPair
from backend.database.reader import Reader
from backend.events.decay import growth

Partners: TypeAlias = dict[int, float]
"""{other product's id: how often they went together, old times counting less}."""

MOST: Final = 200


class PairRows(NamedTuple):
    """Pairs as arrays of one length: a product, another one, how often they went together."""

    product: NDArray[np.int64]
    other: NDArray[np.int64]
    times: NDArray[np.float64]

    def where(self, mask: NDArray[np.bool_]) -> PairRows:
        """Return some of the pairs."""
        return PairRows(self.product[mask], self.other[mask], self.times[mask])

    def of(self, products: Collection[int]) -> PairRows:
        """Return those of some products."""
        return self.where(np.isin(self.product, np.fromiter(products, np.int64, len(products))))

    def without(self, others: Collection[int]) -> PairRows:
        """Return those with none of some products."""
        return self.where(~np.isin(self.other, np.fromiter(others, np.int64, len(others))))


NO_PAIRS: Final = PairRows(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0))

_PAIRS: Final = cast("Table", ProductPair.__table__)
_PRODUCTS: Final = cast("Table", Product.__table__)


def partners(
    reader: Reader, products: Sequence[int], *, now: datetime, most: int = MOST
) -> dict[int, Partners]:
    """Return up to `most` partners of each product, the strongest first.

    A product that has none is left out.
    """
    found: dict[int, Partners] = {}
    rows = strongest(reader, products, now=now, most=most)
    for product, other, times in zip(*(it.tolist() for it in rows), strict=True):
        found.setdefault(product, {})[other] = times
    return found


def strongest(
    reader: Reader, products: Sequence[int], *, now: datetime, most: int = MOST
) -> PairRows:
    """Return up to `most` pairs of each product as rows, by product, the strongest first."""
    given = {"ids": list(products), "rank": most - 1}
    rows = reader.rows(_strongest(), given) if products else []
    if not rows:
        return NO_PAIRS
    product, other, score = zip(*rows, strict=True)
    found = PairRows(np.array(product), np.array(other), np.array(score) / growth(now))
    # several may be as strong as the last one
    first = np.searchsorted(found.product, found.product)
    return found.where(np.arange(len(rows)) - first < most)


def partners_of(reader: Reader, product_id: int, *, now: datetime, most: int = MOST) -> Partners:
    """Return up to `most` partners of one product, the strongest first."""
    rows = reader.rows(_strongest_of_one(), {"product_id": product_id, "most": most})
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
