"""What follows in a list when the examples give no more: what is popular, and what is new."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from functools import partial
from typing import Final, TypeVar

from backend.database.reader import Reader
from backend.recommendations import popularity
from backend.recommendations.listed_products import ListedProduct, Reason
from backend.recommendations.lists import SPARE, Wanted
from backend.recommendations.popularity import Popular

Row = TypeVar("Row")

MOST_POPULAR: Final = 2_000
"""Popular products, and new ones, that are looked at to fill a list."""


def popular_and_new(reader: Reader, wanted: Wanted, *, now: datetime) -> Iterator[ListedProduct]:
    """Yield popular products, then new ones; neither needs a vector or a history.

    Some come twice: `List.candidates` yields each once.
    """
    excluded = wanted.excluded
    few = 100 + SPARE * wanted.limit + len(excluded)
    most_liked = partial(popularity.most_liked, reader, now=now)
    newest = partial(popularity.newest, reader, now=now)
    for it in _in_two_rounds(lambda many: _by_category(most_liked(limit=many)), few):
        if it.product_id not in excluded:
            yield ListedProduct(it.product_id, it.score, Reason.POPULAR)
    for product, _ in _in_two_rounds(lambda many: newest(limit=many), few):
        if product not in excluded:
            yield ListedProduct(product, 0.0, Reason.NEW)


def _in_two_rounds(read: Callable[[int], Sequence[Row]], few: int) -> Iterator[Row]:
    """Yield a few rows, and MOST_POPULAR if these were not enough: a filter may pass hardly any."""
    first = read(few)
    yield from first
    if few <= len(first) < MOST_POPULAR:
        yield from read(MOST_POPULAR)


def _by_category(popular: Sequence[Popular]) -> list[Popular]:
    """Return popular products in turns of their article types: the best of each type come first."""
    turns: dict[str | None, int] = defaultdict(int)
    ordered = []
    for place, one in enumerate(popular):
        ordered.append((turns[one.article_type], place, one))
        turns[one.article_type] += 1
    return [one for _, _, one in sorted(ordered)]
