"""Pairs of products, as strong as they are now."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from functools import cache
from typing import Any, Final, NamedTuple, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import (
    ColumnElement,
    Integer,
    Select,
    Table,
    bindparam,
    exists,
    func,
    select,
    type_coerce,
)
from sqlalchemy.types import NullType

from backend.database.models import ProductPair, ProductPartners
from backend.database.reader import Reader
from backend.events.decay import growth
from backend.events.partners import ROW, PackedPairs, added, strongest_first, unpacked

Partners: TypeAlias = dict[int, float]
"""{other product's id: how often they went together, old times counting less}."""

MOST: Final = 200
LONGEST: Final = 2**30
"""More bytes than any product's pairs have."""


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

_FORMER: Final = cast("Table", ProductPair.__table__)
_PARTNERS: Final = cast("Table", ProductPartners.__table__)


def partners(
    reader: Reader, products: Sequence[int], *, now: datetime, most: int = MOST
) -> dict[int, Partners]:
    """Return up to `most` partners of each product. A product that has none is left out."""
    found: dict[int, Partners] = {}
    rows = strongest(reader, products, now=now, most=most)
    for product, other, times in zip(*(it.tolist() for it in rows), strict=True):
        found.setdefault(product, {})[other] = times
    return found


def partners_of(reader: Reader, product_id: int, *, now: datetime, most: int = MOST) -> Partners:
    """Return up to `most` partners of one product."""
    return partners(reader, [product_id], now=now, most=most).get(product_id, {})


def strongest(
    reader: Reader, products: Collection[int], *, now: datetime, most: int = MOST
) -> PairRows:
    """Return up to `most` pairs of each product, those of one product together, by one statement.

    Where the previous release has stored pairs that are not moved yet, two more are needed.
    """
    if not products:
        return NO_PAIRS
    rows = reader.rows(_packed(), {"ids": products, "bytes": most * ROW.itemsize})
    if rows[0].has_former:
        return with_former(reader, products, now=now, most=most)
    found = [row for row in rows if row.product_id is not None]
    return read_packed([row.product_id for row in found], [row.packed for row in found], now=now)


def read_packed(products: Sequence[int], packed: Sequence[bytes], *, now: datetime) -> PairRows:
    """Return the pairs of some products whose packed arrays are given."""
    many = [len(it) // ROW.itemsize for it in packed]
    rows = np.frombuffer(b"".join(packed), ROW)
    return PairRows(
        np.repeat(np.array(products, np.int64), many), rows["other"], rows["score"] / growth(now)
    )


def with_former(reader: Reader, products: Collection[int], *, now: datetime, most: int) -> PairRows:
    """Return up to `most` pairs of each product, those of the previous release included."""
    among = np.unique(np.array(list(products), np.int64))
    whole = {"ids": among.tolist(), "bytes": LONGEST}
    found = [row for row in reader.rows(_packed(), whole) if row.product_id is not None]
    stored = unpacked([it.product_id for it in found], [it.packed for it in found], among=among)
    former = reader.rows(_former(), {"ids": among.tolist()})
    rows = np.array([tuple(it)[1:] for it in former], ROW)
    place = among.searchsorted(np.array([it.product_id for it in former], np.int64))
    both = PackedPairs(np.concatenate((stored.place, place)), np.concatenate((stored.rows, rows)))
    place, rows = strongest_first(added(both))
    kept = np.arange(len(place)) - place.searchsorted(place) < most
    rows = rows[kept]
    return PairRows(among[place[kept]], rows["other"], rows["score"] / growth(now))


@cache
def _packed() -> Select[Any]:
    """Return the query for packed pairs, `bytes` of each product; it gives a row at least.

    `has_former` tells whether the previous release has stored pairs.
    """
    former = has_former().subquery()
    is_wanted = _PARTNERS.c.product_id.in_(bindparam("ids", expanding=True))
    source = former.outerjoin(_PARTNERS, is_wanted)
    return select(former.c.has_former, *packed_columns()).select_from(source)


def has_former() -> Select[Any]:
    """Return the query for one row, `has_former`."""
    is_there = type_coerce(exists(select(_FORMER.c.product_id)), NullType())
    return select(is_there.label("has_former"))


def packed_columns() -> tuple[ColumnElement[Any], ColumnElement[Any]]:
    """Return the columns `product_id` and `packed`, of which `bytes` are read."""
    first = func.substr(_PARTNERS.c.packed, 1, bindparam("bytes", type_=Integer))
    return _PARTNERS.c.product_id, type_coerce(first, NullType()).label("packed")


@cache
def _former() -> Select[Any]:
    columns = _FORMER.c["product_id", "other_id", "score", "times"]
    return select(*columns).where(_FORMER.c.product_id.in_(bindparam("ids", expanding=True)))
