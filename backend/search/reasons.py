"""Why a list is as it is: what its products share with the query's, and what was left out.

It costs a few more searches, and is done only for an answer that is to be explained.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final

from backend.database.reader import Reader
from backend.errors import IndexLimited
from backend.filters import Condition
from backend.filters.matching import matcher
from backend.search.found import CategoryRank, Neighbour, read_rows, value_of_row
from backend.search.nearest_products import nearest_products
from backend.search.query import Answer, Query
from backend.search.recall_monitor import Search
from backend.search.statements import read_json
from backend.vectors import VectorIndex

SHARED: Final = (
    *("gender", "master_category", "sub_category", "article_type", "base_colour"),
    *("season", "year", "usage", "group_id", "brand"),
)
"""Fields that are compared with those of the query product, beside its attributes."""

CATEGORIES: Final = ("article_type", "sub_category", "master_category")
"""The first of these that a product has is its category."""

MOST_CATEGORIES: Final = 10
"""Categories of one answer that are looked at: each takes a search."""

LOOKED_AT: Final = 200
"""The nearest products that are looked at, in a category and for what was left out."""


@dataclass(frozen=True)
class LeftOut:
    """How many of the nearest products do not pass the filter by a field."""

    clause: str
    products: int


def explain_list(
    connection: Reader,
    index: VectorIndex,
    answer: Answer,
    query: Query,
    *,
    product_id: int | None,
) -> Answer:
    """Return the answer with reasons: of each item, and in `meta.left_out` of the others.

    `product_id` is the query product, None if it is about none.
    """
    about = None
    if product_id is not None:
        rows = read_rows(connection, answer.generation.id, [product_id], images=False)
        about = rows[product_id][0] if product_id in rows else None
    items = _with_ranks(index, answer.search, answer.items, about)
    if about is not None:
        items = [replace(it, shared=_shared(about, it)) for it in items]
    looked_at, left_out = _left_out(connection, index, answer, query)
    said = {
        "looked_at": looked_at,
        "clauses": [{"clause": it.clause, "products": it.products} for it in left_out],
    }
    return replace(answer, items=items, meta={**answer.meta, "left_out": said})


# --- what an item shares -------------------------------------------------------------------------


def _shared(row: Any, item: Neighbour) -> Mapping[str, Any]:
    found = {
        field: value
        for field in SHARED
        if (value := value_of_row(row, field)) is not None and value == item.value_of(field)
    }
    ours, theirs = read_json(row.attributes) or {}, item.value_of("attributes") or {}
    found |= {
        f"attributes.{name}": value
        for name, value in ours.items()
        if isinstance(value, str | int | float) and theirs.get(name) == value
    }
    return found


# --- how near it is among its own kind -----------------------------------------------------------


def _with_ranks(
    index: VectorIndex, search: Search, items: Sequence[Neighbour], about: Any
) -> list[Neighbour]:
    ranked: dict[tuple[str, Any], Mapping[int, CategoryRank]] = {}
    found = []
    for item in items:
        category = _category(item)
        if category is not None and category not in ranked and len(ranked) < MOST_CATEGORIES:
            ranked[category] = _ranks(index, search, *category, about)
        ranks = ranked.get(category, {}) if category is not None else {}
        found.append(replace(item, rank=ranks.get(item.product.id)))
    return found


def _category(item: Neighbour) -> tuple[str, Any] | None:
    pairs = ((field, item.value_of(field)) for field in CATEGORIES)
    return next((pair for pair in pairs if pair[1] is not None), None)


def _ranks(
    index: VectorIndex, search: Search, field: str, value: Any, about: Any
) -> Mapping[int, CategoryRank]:
    """Return the places of the nearest products of a category, by their ids.

    The query product, `about`, has none.
    """
    where = {field: Condition(any_of=(value,))}
    is_in = about is not None and value_of_row(about, field) == value
    try:
        count = index.count(where, several=bool(search.generation.most_images)) - is_in
    except IndexLimited:
        count = None
    hits = nearest_products(
        index,
        search.vector,
        limit=LOOKED_AT,
        where=where,
        exclude=[] if about is None else [about.id],
        most_images=search.generation.most_images,
        payloads=False,
    )
    return {hit.id: CategoryRank(field, value, place, count) for place, hit in enumerate(hits, 1)}


# --- what was left out ---------------------------------------------------------------------------


def _left_out(
    connection: Reader, index: VectorIndex, answer: Answer, query: Query
) -> tuple[int, list[LeftOut]]:
    """Return how many products are as near as the last item, and which clauses left some out.

    A product that fails several clauses counts for each of them.
    """
    search = answer.search
    hits = nearest_products(
        index,
        search.vector,
        limit=LOOKED_AT,
        exclude=search.exclude,
        most_images=search.generation.most_images,
        payloads=False,
    )
    shown = {item.product.id for item in answer.items}
    last = max((at for at, hit in enumerate(hits, 1) if hit.id in shown), default=0)
    nearer = [hit.id for hit in (hits[:last] if len(shown) == query.limit else hits)]
    rows = read_rows(connection, answer.generation.id, set(nearer) - shown, images=False)
    tests = {field: matcher({field: it}, query.schema) for field, it in search.where.items()}
    counts: Counter[str] = Counter()
    for of_product in rows.values():
        value_of = partial(value_of_row, of_product[0])
        counts.update(clause for clause, passes in tests.items() if not passes(value_of))
    return len(nearer), [LeftOut(clause, counts[clause]) for clause in tests if counts[clause]]
