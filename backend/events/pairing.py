"""Pairs of products: a shopper, or a session, did something with both.

What a pair adds is the geometric mean of both strengths: fully in one basket or session, and half
as much for every WEEK between them. The one that is counted later adds the pair. It also adds it to
the pair of both products' categories, as they are then.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any, Final, TypeAlias, cast

from sqlalchemy import Table, and_, delete, func, select
from sqlalchemy.orm import Session

from backend.database.models import CategoryPair, Product, ProductPair
from backend.database.upsert import execute_rows, upsert
from backend.events.acts import Act, History

WEEK: Final = timedelta(days=7)
WINDOW: Final = timedelta(days=30)
"""Acts that are further apart make no pair."""

MOST_OTHERS: Final = 50
"""Acts of a shopper that one more act makes pairs with: the newest ones."""

PARTNERS: Final = 200
"""Pairs that a product keeps: the strongest ones. They are cut when there are twice as many."""

LEVELS: Final = ("sub_category", "article_type")
"""The fields of products by which categories are counted."""

_CATEGORIES: Final = cast("Table", CategoryPair.__table__)
_PAIRS: Final = cast("Table", ProductPair.__table__)
_Sums: TypeAlias = dict[tuple[int, int], list[Any]]


def add_pairs(session: Session, acts: Sequence[Act], history: History) -> None:
    """Add the pairs of new acts with those of the history, and among each other."""
    sums: _Sums = defaultdict(lambda: [0.0, 0])  # by the smaller and the larger product id
    for one, other, added in _pairs(acts, history):
        found = sums[(one, other) if one < other else (other, one)]
        found[0] += added
        found[1] += 1
    if not sums:
        return
    both = [*sums.items(), *(((other, one), found) for (one, other), found in sums.items())]
    both.sort()  # rows that lie together in the table are written together
    rows = [(one, other, score, times) for (one, other), (score, times) in both]
    insert = upsert(session, _PAIRS)
    summed = insert.on_conflict_do_update(
        index_elements=["product_id", "other_id"],
        set_={
            "score": _PAIRS.c.score + insert.excluded.score,
            "times": _PAIRS.c.times + insert.excluded.times,
        },
    )
    execute_rows(session, summed, ("product_id", "other_id", "score", "times"), rows)
    products = sorted({one for (one, _), _ in both})
    _add_categories(session, products, both)
    keep_strongest(session, products)


def _add_categories(
    session: Session, products: Sequence[int], both: Sequence[tuple[tuple[int, int], list[Any]]]
) -> None:
    """Add what pairs of products, in both directions, say of their categories."""
    columns = [getattr(Product, level) for level in LEVELS]
    rows = session.execute(select(Product.id, *columns).where(Product.id.in_(products)))
    names = {row[0]: row[1:] for row in rows}
    sums: dict[tuple[str, str, str], list[Any]] = defaultdict(lambda: [0.0, 0])
    for (one, other), (score, times) in both:
        for level, category, another in zip(LEVELS, names[one], names[other], strict=True):
            if category is not None and another is not None:
                found = sums[level, category, another]
                found[0] += score
                found[1] += times
    if sums:
        insert = upsert(session, _CATEGORIES)
        summed = insert.on_conflict_do_update(
            index_elements=["level", "category", "other"],
            set_={
                "score": _CATEGORIES.c.score + insert.excluded.score,
                "times": _CATEGORIES.c.times + insert.excluded.times,
            },
        )
        names_of = ("level", "category", "other")
        rows_of = [
            dict(zip(names_of, key, strict=True)) | {"score": found[0], "times": found[1]}
            for key, found in sorted(sums.items())
        ]
        session.execute(summed, rows_of)


def _pairs(acts: Sequence[Act], history: History) -> Iterator[tuple[int, int, float]]:
    """Yield the product of each act with that of others of the same person, and what it adds.

    Of several acts with one other product, the one that adds most counts.
    """
    for act in acts:
        best: dict[int, float] = {}  # by product
        for person in act.people:
            for other in history[person][-MOST_OTHERS:]:
                added = _added(act, other)
                if added > best.get(other.product_id, 0.0):
                    best[other.product_id] = added
        best.pop(act.product_id, None)
        for product, added in best.items():
            yield act.product_id, product, added
        for person in act.people:
            history[person].append(act)


def _added(one: Act, other: Act) -> float:
    grown = one.grown if one.grown > other.grown else other.grown
    if (one.session is not None and one.session == other.session) or (
        one.basket is not None and one.basket == other.basket
    ):
        return one.root * other.root * grown
    apart = abs(one.at - other.at)
    if apart > WINDOW:
        return 0.0
    return float(one.root * other.root * grown * 2.0 ** -(apart / WEEK))


def keep_strongest(session: Session, products: Sequence[int]) -> None:
    """Delete the weakest pairs of products that have many more than PARTNERS."""
    crowded = session.scalars(
        select(_PAIRS.c.product_id)
        .where(_PAIRS.c.product_id.in_(products))
        .group_by(_PAIRS.c.product_id)
        .having(func.count() > 2 * PARTNERS)
    ).all()
    for product in crowded:
        least = session.scalar(
            select(_PAIRS.c.score)
            .where(_PAIRS.c.product_id == product)
            .order_by(_PAIRS.c.score.desc())
            .offset(PARTNERS - 1)
            .limit(1)
        )
        weak = and_(_PAIRS.c.product_id == product, _PAIRS.c.score < least)
        session.execute(delete(_PAIRS).where(weak))
