"""Pairs of products, as strong as they are now."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from functools import cache
from itertools import chain
from typing import Any, Final, NamedTuple, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Float,
    Select,
    Table,
    bindparam,
    func,
    select,
    union_all,
)
from sqlalchemy import cast as cast_in_sql

from backend.database.lists import as_list, read_list
from backend.database.models import ProductPair
from backend.database.reader import Reader
from backend.events.decay import growth

Partners: TypeAlias = dict[int, float]
"""{other product's id: how often they went together, old times counting less}."""

MOST: Final = 200

PARTS: Final = 1e9
"""Times are read as whole numbers of so many parts: SQLite writes a float three times as slowly."""

SIZES: Final = (1, 2, 4, 8, 12, 16, 20, 24, 28, 32, 64, 100)
"""For so many products there is a statement each: fewer are filled up with NOBODY."""

NOBODY: Final = 0
"""No product has this id."""


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
        return self.where(_are_among(self.product, products))

    def without(self, others: Collection[int]) -> PairRows:
        """Return those with none of some products."""
        return self.where(~_are_among(self.other, others))


def _are_among(values: NDArray[np.int64], some: Collection[int]) -> NDArray[np.bool_]:
    """Return which values are among some. `np.isin` takes three times as long for a few hundred."""
    if not some:
        return np.zeros(len(values), np.bool_)
    known = np.array(sorted(some))
    places = known.searchsorted(values)
    places[places == len(known)] = 0
    found: NDArray[np.bool_] = known[places] == values
    return found


NO_PAIRS: Final = PairRows(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0))

_PAIRS: Final = cast("Table", ProductPair.__table__)


def partners(
    reader: Reader, products: Sequence[int], *, now: datetime, most: int = MOST
) -> dict[int, Partners]:
    """Return up to `most` partners of each product. A product that has none is left out."""
    return {row.product: read_partners(row) for row in _lists(reader, products, most, now)}


def read_partners(row: Any) -> Partners:
    """Return the partners in a row of `lists_of`."""
    if row.product is None:
        return {}
    both = zip(read_list(row.others), read_list(row.parts), strict=True)
    return {other: parts / PARTS for other, parts in both}


def scale_at(now: datetime) -> float:
    """Return the factor that `lists_of` takes as `scale`."""
    return PARTS / growth(now)


def strongest(
    reader: Reader, products: Sequence[int], *, now: datetime, most: int = MOST
) -> PairRows:
    """Return up to `most` pairs of each product as rows, those of one product together."""
    found = _lists(reader, products, most, now)
    if not found:
        return NO_PAIRS
    others, parts = ([read_list(it[at]) for it in found] for at in (1, 2))
    many = [len(it) for it in others]
    total = sum(many)
    return PairRows(
        np.repeat(np.array([it.product for it in found]), many),
        np.fromiter(chain.from_iterable(others), np.int64, total),
        np.fromiter(chain.from_iterable(parts), np.float64, total) / PARTS,
    )


def _lists(reader: Reader, products: Sequence[int], most: int, now: datetime) -> list[Any]:
    """Return a row of `lists_of` for each product that has pairs."""
    rows: list[Any] = []
    for start in range(0, len(products), SIZES[-1]):
        part = products[start : start + SIZES[-1]]
        size = next(it for it in SIZES if it >= len(part))
        given: dict[str, Any] = {
            "most": most,
            "scale": scale_at(now),
            **dict.fromkeys(_names(size), NOBODY),
        }
        given.update(zip(_names(size), part, strict=False))
        rows += reader.rows(_strongest(size), given)
    return [row for row in rows if row.product is not None]


def partners_of(reader: Reader, product_id: int, *, now: datetime, most: int = MOST) -> Partners:
    """Return up to `most` partners of one product."""
    return partners(reader, [product_id], now=now, most=most).get(product_id, {})


@cache
def _strongest(size: int) -> Select[Any]:
    """Return the query for several products: a row for each, from the first rows of an index.

    A row with two lists is read twice as fast as fifty rows. A window function would read all pairs
    of each product, which may be eight times as many.
    """
    parts = [lists_of(name) for name in _names(size)]
    return cast("Select[Any]", union_all(*parts)) if size > 1 else parts[0]


def lists_of(name: str) -> Select[Any]:
    """Return the query for the pairs of the product that is bound to a name, `most` of them.

    It gives one row: the `product`, NULL where it has no pair, and two lists, `others`, `parts`:
    how often they went together at the time of `scale` (`scale_at`), in PARTS.
    """
    row = _ranked(*_PAIRS.c["product_id", "other_id", "score"], product=name).subquery().c
    parts = cast_in_sql(row.score * bindparam("scale", type_=Float), BigInteger)
    lists = as_list(row.other_id).label("others"), as_list(parts).label("parts")
    return select(func.max(row.product_id).label("product"), *lists)


@cache
def _names(size: int) -> tuple[str, ...]:
    return tuple(f"product_{at}" for at in range(size))


def _ranked(*columns: ColumnElement[Any], product: str) -> Select[Any]:
    return (
        select(*columns)
        .where(_PAIRS.c.product_id == bindparam(product))
        .order_by(_PAIRS.c.score.desc(), _PAIRS.c.other_id.desc())
        .limit(bindparam("most"))
    )
