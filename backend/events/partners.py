"""The partners of each product: its strongest pairs, as one row with a packed array.

With a row for each pair, each event after a million others wrote 20 rows, all over a table and
three indexes. A product's array is read, added to and written as a whole: a batch of events
adds many pairs to the same products.

The previous release has a row for each pair (`product_pairs`), and may still write there beside
this one. Both count: readers add what lies there, and whoever adds to a product moves its rows.
`move_some` moves those of the other products. Both are done in one transaction, so a pair lies in
one place at any time.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Table, delete, exists, select
from sqlalchemy.orm import Session

from backend.database import locks
from backend.database.engine import Database
from backend.database.locks import Lock
from backend.database.many_rows import is_among
from backend.database.models import ProductPair, ProductPartners
from backend.database.upsert import execute_rows, upsert
from backend.events.sums import PairSums

PARTNERS: Final = 200
"""Pairs that a product keeps: the strongest ones. They are cut when there are twice as many."""

AT_ONCE: Final = 10_000
"""Products whose arrays are in memory at once, 2 KB each on average."""

MOVED_AT_ONCE: Final = 50
"""Products whose rows of the previous release are moved in one transaction, about 0.1 s."""

ROW: Final = np.dtype([("other", "<i8"), ("score", "<f8"), ("times", "<i8")])
"""A partner in a packed array: its id, the sum (`decay`), how often. The strongest come first, of
equal ones the largest id."""

_BITS_OF_ID: Final = 48  # of a product: `backend.vectors.image_points.STRIDE`
_BITS_OF_SCORE: Final = 49  # with those of a place, below AT_ONCE, not more than 63
_LARGEST: Final = 2**_BITS_OF_SCORE - 1
_FORMER: Final = cast("Table", ProductPair.__table__)
_PARTNERS: Final = cast("Table", ProductPartners.__table__)


class PackedPairs(NamedTuple):
    """Pairs: the place of a product among some, and its partners as ROW has them."""

    place: NDArray[np.int64]
    rows: NDArray[Any]


def add(session: Session, sums: PairSums) -> None:
    """Add pairs to those of their products. They are in the order of their products."""
    products = np.unique(sums.one)
    for start in range(0, len(products), AT_ONCE):
        part = products[start : start + AT_ONCE]
        first = sums.one.searchsorted(part[0])
        end = sums.one.searchsorted(part[-1], side="right")
        rows = np.empty(end - first, ROW)
        for name in ROW.names or ():
            rows[name] = getattr(sums, name)[first:end]
        _add_to(session, part, PackedPairs(part.searchsorted(sums.one[first:end]), rows))


def move_some(db: Database, *, limit: int = MOVED_AT_ONCE) -> int:
    """Move the pairs of some products that the previous release has stored; return of how many."""
    with db.read() as session:
        if not has_former(session):
            return 0
    return db.write(lambda session: _move(session, limit))


def has_former(session: Session) -> bool:
    """Tell whether there are pairs that the previous release has stored."""
    return bool(session.scalar(select(exists(select(_FORMER.c.product_id)))))


def _move(session: Session, limit: int) -> int:
    locks.hold(session, Lock.EVENTS)
    one = _FORMER.c.product_id
    products = session.scalars(select(one).distinct().order_by(one).limit(limit)).all()
    if products:
        nothing = PackedPairs(np.zeros(0, np.int64), np.zeros(0, ROW))
        _add_to(session, np.array(products), nothing)
    return len(products)


def _add_to(session: Session, products: NDArray[np.int64], new: PackedPairs) -> None:
    """Add pairs to those of some products, in their order; all of these are written anew."""
    ids = products.tolist()
    parts = [_stored(session, products, ids), new]
    if has_former(session):
        parts.insert(1, _taken_former(session, products, ids))
    place, rows = (np.concatenate(it) for it in zip(*parts, strict=True))
    kept = strongest_first(added(PackedPairs(place, rows)), cut=True)
    ends = kept.place.searchsorted(np.arange(len(ids)), side="right").tolist()
    packed = [
        (product, kept.rows[first:end].tobytes())
        for product, first, end in zip(ids, [0, *ends], ends, strict=False)
    ]
    insert = upsert(session, _PARTNERS)
    replaced = insert.on_conflict_do_update(
        index_elements=["product_id"], set_={"packed": insert.excluded.packed}
    )
    execute_rows(session, replaced, ("product_id", "packed"), packed)


def _stored(session: Session, products: NDArray[np.int64], ids: Sequence[int]) -> PackedPairs:
    columns = _PARTNERS.c.product_id, _PARTNERS.c.packed
    found = session.execute(
        select(*columns).where(is_among(session, _PARTNERS.c.product_id, ids))
    ).all()
    return unpacked([it[0] for it in found], [it[1] for it in found], among=products)


def _taken_former(session: Session, products: NDArray[np.int64], ids: Sequence[int]) -> PackedPairs:
    """Return the pairs of products that the previous release has stored, and delete them there."""
    is_theirs = is_among(session, _FORMER.c.product_id, ids)
    columns = _FORMER.c["product_id", "other_id", "score", "times"]
    found = [tuple(row) for row in session.execute(select(*columns).where(is_theirs))]
    session.execute(delete(_FORMER).where(is_theirs))
    place = products.searchsorted(np.array([row[0] for row in found], np.int64))
    return PackedPairs(place, np.array([row[1:] for row in found], ROW))


def unpacked(
    products: Sequence[int], packed: Sequence[bytes], *, among: NDArray[np.int64]
) -> PackedPairs:
    """Return packed arrays as one; `among` are the products by whose places they are named."""
    many = [len(it) // ROW.itemsize for it in packed]
    places = among.searchsorted(np.array(products, np.int64))
    return PackedPairs(np.repeat(places, many), np.frombuffer(b"".join(packed), ROW))


def added(pairs: PackedPairs) -> PackedPairs:
    """Add up what equal pairs have, by place and partner."""
    keys = pairs.place << _BITS_OF_ID | pairs.rows["other"]
    order = keys.argsort()
    keys = keys[order]
    first = np.flatnonzero(np.diff(keys, prepend=-1))
    if not len(first):
        return pairs
    rows = np.empty(len(first), ROW)
    rows["other"] = pairs.rows["other"][order[first]]
    for name in ("score", "times"):
        rows[name] = np.add.reduceat(pairs.rows[name][order], first)
    return PackedPairs(keys[first] >> _BITS_OF_ID, rows)


def strongest_first(pairs: PackedPairs, *, cut: bool = False) -> PackedPairs:
    """Return the pairs of each place in the order of ROW; with `cut` without the weakest ones."""
    order = _ranked(pairs)
    place, rows = pairs.place[order], pairs.rows[order]
    if cut and len(place):
        first = place.searchsorted(np.arange(place[-1] + 1))
        last = np.minimum(first + PARTNERS - 1, len(place) - 1)
        least = rows["score"][last]
        least[np.bincount(place) <= 2 * PARTNERS] = 0.0
        is_kept = rows["score"] >= least[place]
        place, rows = place[is_kept], rows[is_kept]
    return PackedPairs(place, rows)


def _ranked(pairs: PackedPairs) -> NDArray[np.int64]:
    """Return the order of pairs by place, then by score, then by partner, the largest first.

    A score is compared by its first 49 bits, which are 11 digits: with the place they are one
    number, and numbers are sorted five times as fast as by three keys.
    """
    score = np.ascontiguousarray(pairs.rows["score"]).view(np.int64)  # above 0: in the same order
    keys = pairs.place << _BITS_OF_SCORE | (_LARGEST - (score >> (63 - _BITS_OF_SCORE)))
    order = keys.argsort()
    keys = keys[order]
    is_equal = keys[1:] == keys[:-1]
    tied = np.flatnonzero(np.append(is_equal, False) | np.append(False, is_equal))
    if len(tied):
        among = order[tied]
        order[tied] = among[np.lexsort((-pairs.rows["other"][among], keys[tied]))]
    return order
