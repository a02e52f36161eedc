"""Pairs of products: a shopper, or a session, did something with both.

What a pair adds is the geometric mean of both strengths: fully in one basket or session, and half
as much for every WEEK between them. The one that is counted later adds the pair. It also adds it to
the pair of both products' categories, as they are then.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Final, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Table, select
from sqlalchemy.orm import Session

from backend.database.many_rows import is_among
from backend.database.models import CategoryPair, Product
from backend.database.upsert import execute_rows, upsert
from backend.events import partners
from backend.events.acts import Acts, Numbers
from backend.events.sums import PairSums, as_rows, group

WEEK: Final = timedelta(days=7)
WINDOW: Final = timedelta(days=30)
"""Acts that are further apart make no pair."""

MOST_OTHERS: Final = 50
"""Acts of a shopper that one more act makes pairs with: the newest ones."""

LEVELS: Final = ("sub_category", "article_type")
"""The fields of products by which categories are counted."""

_PRODUCTS: Final = cast("Table", Product.__table__).c
_CATEGORIES: Final = cast("Table", CategoryPair.__table__)
_WEEK: Final = WEEK / timedelta(microseconds=1)
_WINDOW: Final = WINDOW / timedelta(microseconds=1)


class Histories(NamedTuple):
    """What those who did some acts did before, the oldest first: by shopper, and by session."""

    shopper: Acts
    session: Acts


def add_pairs(session: Session, acts: Acts, histories: Histories) -> None:
    """Add the pairs of new acts with those of the histories, and among each other."""
    sums = _summed(acts, histories)
    if len(sums.one):
        partners.add(session, sums)
        add_categories(session, sums)


def add_categories(session: Session, sums: PairSums) -> None:
    """Add what pairs of products, in both directions, say of their categories."""
    products = np.unique(sums.one).tolist()
    columns = [_PRODUCTS[level] for level in LEVELS]
    found = session.execute(
        select(_PRODUCTS.id, *columns).where(is_among(session, _PRODUCTS.id, products))
    )
    names = {row[0]: row[1:] for row in found}
    ones, others = (np.searchsorted(products, it) for it in (sums.one, sums.other))
    rows: list[tuple[str | float | int, ...]] = []
    for place, level in enumerate(LEVELS):
        of_level = [names[it][place] for it in products]
        categories = sorted({it for it in of_level if it is not None})
        numbers = {name: at for at, name in enumerate(categories)} | {None: -1}
        number = np.array([numbers[it] for it in of_level], np.int64)
        groups = group(number[ones], number[others])
        score, times = groups.sum(sums.score), groups.sum(sums.times.astype(np.float64))
        rows += [
            (level, categories[one], categories[other], added, int(count))
            for one, other, added, count in as_rows(groups.one, groups.other, score, times)
            if one >= 0 and other >= 0
        ]
    if rows:
        keys = ("level", "category", "other", "score", "times")
        insert = upsert(session, _CATEGORIES)
        summed = insert.on_conflict_do_update(
            index_elements=keys[:3],
            set_={
                "score": _CATEGORIES.c.score + insert.excluded.score,
                "times": _CATEGORIES.c.times + insert.excluded.times,
            },
        )
        execute_rows(session, summed, keys, rows)


def _summed(acts: Acts, histories: Histories) -> PairSums:
    """Return what acts add to pairs of their products with those of others of the same person.

    Of several acts with one other product, the one that adds most counts.
    """
    found = [
        _added(histories.shopper.followed_by(acts), len(acts), lambda it: it.shopper),
        _added(histories.session.followed_by(acts), len(acts), lambda it: it.session),
    ]
    act, product, added = (np.concatenate(it) for it in zip(*found, strict=True))
    counts = (added > 0.0) & (product != acts.product[act])
    best = group(act[counts], product[counts])
    largest, one = best.largest(added[counts]), acts.product[best.one]
    pairs = group(np.minimum(one, best.other), np.maximum(one, best.other))
    score, times = pairs.sum(largest), pairs.rows()
    ones, others = (
        np.concatenate(it) for it in ((pairs.one, pairs.other), (pairs.other, pairs.one))
    )
    order = np.lexsort((others, ones))  # rows that lie together in the table are written together
    return PairSums(ones[order], others[order], np.tile(score, 2)[order], np.tile(times, 2)[order])


def _added(
    acts: Acts, new: int, who: Callable[[Acts], Numbers]
) -> tuple[Numbers, Numbers, NDArray[np.float64]]:
    """Return for each of the last `new` acts the MOST_OTHERS acts of the same person before it.

    That is: which of the new acts, the product of the other act, and what the pair adds.
    """
    newer, older = _before(who(acts), new)
    root, grown = np.sqrt(acts.strength), acts.growth
    added = root[newer] * root[older] * np.maximum(grown[newer], grown[older])
    apart = np.abs(acts.at[newer] - acts.at[older])
    is_near = _are_equal(acts.session, newer, older) | _are_equal(acts.basket, newer, older)
    added *= np.where(is_near, 1.0, np.where(apart > _WINDOW, 0.0, np.exp2(-apart / _WEEK)))
    return newer - (len(acts) - new), acts.product[older], added


def _before(people: Numbers, new: int) -> tuple[Numbers, Numbers]:
    """Return pairs of places: of one of the last `new` acts, and of one before by that person."""
    order = people.argsort(kind="stable")
    ordered = people[order]
    at = np.flatnonzero((order >= len(people) - new) & (ordered > 0))
    first = np.maximum(ordered.searchsorted(ordered[at]), at - MOST_OTHERS)
    many = at - first
    within = np.arange(many.sum()) - np.repeat(many.cumsum() - many, many)
    return np.repeat(order[at], many), order[np.repeat(first, many) + within]


def _are_equal(names: Numbers, some: Numbers, others: Numbers) -> NDArray[np.bool_]:
    found: NDArray[np.bool_] = (names[some] == names[others]) & (names[some] > 0)
    return found
