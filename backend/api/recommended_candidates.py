"""The candidates of a list of recommended products, as SQL has them now."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, Final, Self, TypeAlias

from backend.database.models import Generation
from backend.database.reader import Reader
from backend.filters.matching import matcher
from backend.recommendations.listed_products import ListedProduct
from backend.search import statements
from backend.search.found import Neighbour, neighbours, read_rows
from backend.search.query import MAX_LIMIT, Query
from backend.search.reordering import pool_of
from backend.vectors import Hit

READ_AT_ONCE: Final = 2 * MAX_LIMIT
SPARE_ROWS: Final = 4
"""Candidates that are read beyond the length of a list: they replace those that do not pass."""

Keep: TypeAlias = Callable[[Neighbour], bool]
"""Tells whether a list may show a product, beside its filter."""


def groups_of(reader: Reader, ids: Collection[int], query: Query) -> list[Any]:
    """Return the groups of some products, in any order; None for each that has none."""
    rows = reader.rows(statements.values(), {"ids": ids})
    return [getattr(row, str(query.shaping.group_by)) for row in rows]


def taken_groups(reader: Reader, query: Query) -> frozenset[Any]:
    """Return the groups that former pages have shown."""
    if query.after is None or query.shaping.group_by is None:
        return frozenset()
    return frozenset(groups_of(reader, query.after.shown, query)) - {None}


def shown_before(query: Query) -> frozenset[int]:
    """Return the products that former pages have shown."""
    return query.after.shown if query.after else frozenset()


@dataclass(frozen=True, slots=True)
class ListItem:
    """A candidate, and its product as SQL has it now."""

    chosen: ListedProduct
    item: Neighbour


@dataclass(frozen=True, slots=True)
class CandidateReader:
    """Reads the candidates of one list that pass its filter and are kept by `keep`."""

    reader: Reader
    generation: Generation
    query: Query
    keep: Keep | None

    def read(self, chosen: Iterator[ListedProduct]) -> Iterator[ListItem]:
        """Yield those of the candidates that pass, in order, as SQL has them now."""
        query, keep = self.query, self.keep
        passes = matcher(query.where, query.schema) if query.where else None
        for part in _in_parts(chosen, first=SPARE_ROWS + pool_of(query.limit, query.shaping)):
            hits = [Hit(it.product_id, 0.0) for it in part]
            ids = [it.product_id for it in part]
            read = read_rows(self.reader, self.generation.id, ids, images=query.shows_images)
            found = neighbours(hits, read, images=query.shows_images)
            rows = {item.product.id: item for item in found}
            for one in part:
                item = rows.get(one.product_id)
                if item is None or (passes and not passes(item.value_of)):
                    continue
                if keep is None or keep(item):
                    yield ListItem(one, item)

    def without(self, clause: str) -> Self:
        """Return a reader whose filter lacks a clause."""
        where = {field: it for field, it in self.query.where.items() if field != clause}
        return replace(self, query=replace(self.query, where=where))


def _in_parts(chosen: Iterator[ListedProduct], *, first: int) -> Iterator[list[ListedProduct]]:
    """Yield a list in parts, each twice as long as the one before, up to READ_AT_ONCE."""
    many = min(first, READ_AT_ONCE)
    while part := list(islice(chosen, many)):
        yield part
        many = min(2 * many, READ_AT_ONCE)
