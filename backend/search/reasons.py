"""Why a list is as it is: what its products share with the query's, and what was left out.

One search without the filter tells how near each item is among its own kind, and what the filter
has left out. It is done only for an answer that is to be explained, and that has a filter.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from operator import attrgetter
from types import MappingProxyType
from typing import Any, Final

from backend.database.reader import Reader
from backend.errors import IndexLimited
from backend.filters import Condition, Schema, Where
from backend.filters.matching import columns_of
from backend.search import statements
from backend.search.candidate_rows import CATEGORIES
from backend.search.found import CategoryRank, Neighbour
from backend.search.grouping import count_groups
from backend.search.judging import row_matcher
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

LOOKED_AT: Final = 200
"""The nearest products that are looked at: of all, and again of the categories of those items that
are further away."""


def explain_list(
    connection: Reader,
    index: VectorIndex,
    answer: Answer,
    query: Query,
    *,
    about: Any,
    nearest: Collection[int] | None = None,
    walked: Collection[int] | None = None,
    known: Mapping[int, Any] = MappingProxyType({}),
) -> None:
    """Give the items their reasons, and say in `meta.left_out` what the filter has left out.

    `about` is the row of the query product, None if the list is about none. `nearest` are the
    nearest products in order, without those that the search excludes, where it has found them, and
    `walked` all nearest products, LOOKED_AT and as many as are excluded, where it looked at them.
    `known` are rows of products with the columns of the filter and CATEGORIES; of removed ones
    they are empty.
    """
    where, looking = answer.search.where, _Looking(connection, index, answer, query, about, known)
    hits = looking.nearest_of_all(nearest, walked)
    others = [id_ for id_ in hits if id_ not in looking.unwanted][:LOOKED_AT]
    nearer = looking.as_far_as_items(others) if looking.is_full else others
    left_out = set(nearer) - looking.items.keys() if where else set()
    ranked = looking.as_far_as_items(hits)
    looking.read({*ranked, *left_out}, columns_of(where).union(CATEGORIES))
    looking.rank(ranked)
    looking.rank_far_ones()
    if about is not None:
        _share(about, answer.items)
    rows = [row for id_ in left_out if (row := looking.rows.get(id_))]
    clauses = _failed(rows, where, query.schema)
    answer.meta["left_out"] = {
        "looked_at": len(nearer),
        "clauses": [{"clause": it, "products": count} for it, count in clauses.items() if count],
    }


# --- what an item shares -------------------------------------------------------------------------


def _share(about: Any, items: Iterable[Neighbour]) -> None:
    """Note in which fields each item has the value of the query product."""
    values = {field: it for field in SHARED if (it := getattr(about, field)) is not None}
    ours = {
        name: value
        for name, value in (read_json(about.attributes) or {}).items()
        if isinstance(value, str | int | float)
    }
    for item in items:
        row = item.product
        shared = {field: value for field, value in values.items() if getattr(row, field) == value}
        theirs = (read_json(row.attributes) or {}) if ours else {}
        shared |= {f"attributes.{it}": ours[it] for it in ours if theirs.get(it) == ours[it]}
        item.shared = shared


# --- what was left out ---------------------------------------------------------------------------


def _failed(rows: Sequence[Any], where: Where, schema: Schema) -> Mapping[str, int]:
    """Return how many products do not pass each clause; one that fails several counts for each."""
    found = {}
    for field, condition in where.items():
        if passes := row_matcher({field: condition}, schema):
            found[field] = len(rows) - sum(passes.each(rows))
    return found


# --- how near it is among its own kind -----------------------------------------------------------


class _Looking:
    """What is near a query, whatever its filter is. The query product itself is left out."""

    def __init__(
        self,
        connection: Reader,
        index: VectorIndex,
        answer: Answer,
        query: Query,
        about: Any,
        known: Mapping[int, Any],
    ) -> None:
        self._connection = connection
        self._index = index
        self._search: Search = answer.search
        self._chosen_by = query.chosen_by
        self._about = about
        self.unwanted = set(answer.search.exclude)
        self.is_full = len(answer.items) == query.limit
        self.items = {item.product.id: item for item in answer.items}
        products = {id_: item.product for id_, item in self.items.items()}
        self.rows: dict[int, Any] = {**known, **products}

    def nearest_of_all(
        self, nearest: Collection[int] | None, walked: Collection[int] | None
    ) -> list[int]:
        """Return the nearest products of all, searched only where the list's search cannot tell.

        `nearest` and `walked` are as `explain_list` takes them.
        """
        own = set() if self._about is None else {self._about.product_id}
        if walked is not None:
            return [id_ for id_ in walked if id_ not in own]
        if nearest is not None and self.is_full and self.unwanted <= own:
            return list(nearest)
        return self.nearest(LOOKED_AT + len(self.unwanted), {})

    def nearest(self, limit: int, where: Where) -> list[int]:
        """Return the ids of the nearest products under a filter.

        One more is asked for in the place of the query product: a filter of ids costs more.
        """
        hits = nearest_products(
            self._index,
            self._search.vector,
            limit=limit + (self._about is not None),
            where=where,
            most_images=self._search.generation.most_images,
            payloads=False,
        )
        own = None if self._about is None else self._about.product_id
        return [id_ for hit in hits if (id_ := hit[0]) != own][:limit]

    def as_far_as_items(self, hits: Sequence[int]) -> Sequence[int]:
        """Return what is as near as the last item among these products."""
        last, items = len(hits), self.items
        while last and hits[last - 1] not in items:
            last -= 1
        return hits[:last]

    def read(self, ids: Collection[int], columns: Collection[str]) -> None:
        """Read some columns of products whose rows are not known; removed ones have none.

        Where candidates have rows with these columns, theirs are read: they are mostly kept.
        """
        unread = [id_ for id_ in ids if id_ not in self.rows]
        if unread and self._chosen_by is not None:
            generation = self._search.generation
            self.rows |= self._chosen_by.read(self._connection, generation, unread)
        elif unread:
            statement = statements.compared(frozenset(columns))
            read = self._connection.rows(statement, {"ids": unread}, at_once=True)
            self.rows |= {it.id: it for it in read}

    def rank(self, hits: Sequence[int], fields: Sequence[str] = CATEGORIES) -> None:
        """Give the items among the nearest products of these categories their places."""
        unranked = [item for item in self.items.values() if item.rank is None]
        wanted = dict.fromkeys([it for item in unranked if (it := _category(item)) is not None])
        places = dict[tuple[str, Any], dict[int, int]]()  # of products, from 1
        rows = [row for id_ in hits if (row := self.rows.get(id_))]
        for field in {field for field, _ in wanted}.intersection(fields):
            found = {it[1]: dict[int, int]() for it in wanted if it[0] == field}
            for row, value in zip(rows, map(attrgetter(field), rows), strict=True):
                if (members := found.get(value)) is not None:
                    members[row.id] = len(members) + 1
            places |= {(field, value): members for value, members in found.items()}
        counts = self._count(places)
        for item in unranked:
            category = _category(item) or ("", None)
            place = places.get(category, {}).get(item.product.id)
            if place is not None:
                count = counts.get(category)
                products = None if count is None else max(count, place)
                item.rank = CategoryRank(category[0], category[1], place, products)

    def rank_far_ones(self) -> None:
        """Search in the categories of the items that have no place yet."""
        far: dict[str, list[Any]] = {}
        for item in self.items.values():
            if item.rank is None and (category := _category(item)) is not None:
                far.setdefault(category[0], []).append(category[1])
        for field, values in far.items():
            where = {field: Condition(any_of=tuple(dict.fromkeys(values)))}
            hits = self.as_far_as_items(self.nearest(LOOKED_AT, where))
            self.read(hits, CATEGORIES)
            self.rank(hits, [field])

    def _count(self, categories: Collection[tuple[str, Any]]) -> dict[tuple[str, Any], int | None]:
        """Return how many products each category has, without the query's; None: unknown."""
        fields: dict[str, list[Any]] = {}
        for field, value in categories:
            fields.setdefault(field, []).append(value)
        several = bool(self._search.generation.most_images)
        counts = dict[tuple[str, Any], int | None]()
        for field, values in fields.items():
            own = None if self._about is None else getattr(self._about, field)
            try:
                sizes = count_groups(self._index, field, values, {}, several=several, least=0)
            except IndexLimited:
                continue
            counts |= {(field, it): sizes.get(it, 0) - (it == own) for it in values}
        return counts


def _category(item: Neighbour) -> tuple[str, Any] | None:
    for field in CATEGORIES:
        value = getattr(item.product, field)
        if value is not None:
            return field, value
    return None
