"""The engine's filters of one embedded index, and how many of its points pass them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import qdrant_edge as qe

from backend.filters import Schema, Where
from backend.filters.check import check
from backend.vectors.edge.cost import check_cost
from backend.vectors.edge.filter_cache import FilterCache
from backend.vectors.edge.queries import EDGE_FILTERS
from backend.vectors.edge.store import EdgeStore
from backend.vectors.translate import translate

COUNTED_SECONDS: Final = 5.0
"""How long it is kept how many points pass a filter: it only decides how to search."""


class ShardFilters:
    """Makes the engine's filters, each once. Raises InvalidFilter and FilterTooCostly."""

    def __init__(self, store: EdgeStore, schema: Schema, *, tokens: bool) -> None:
        self._store = store
        self._schema = schema
        self._tokens = tokens
        self._kinds = replace(EDGE_FILTERS, tokens=tokens)
        self._made = FilterCache[qe.Filter | None](schema)
        self._passing = FilterCache[int](schema, seconds=COUNTED_SECONDS)

    def of(
        self, where: Where | None, exclude: Sequence[int] = (), *, first_only: bool = False
    ) -> qe.Filter | None:
        """Return the filter without some points, and with `first_only` one point a product."""
        if not (exclude or first_only):
            return self._made.of(where, self._make) if where else None
        return self._make(where, exclude, first_only=first_only)

    def count(self, where: Where | None = None) -> int:
        """Return about how many points pass, as it was estimated in the last seconds."""
        return self._passing.of(where or {}, lambda _: self.estimate(self.of(where)))

    def estimate(self, passing: qe.Filter | None) -> int:
        """Estimate from the payload indexes how many points pass, in microseconds."""
        with self._store.using() as shard:
            return shard.count(qe.CountRequest(exact=False, filter=passing))

    def _make(
        self, where: Where | None, exclude: Sequence[int] = (), *, first_only: bool = False
    ) -> qe.Filter | None:
        check(where, self._schema)
        check_cost(where, self._schema, self._estimate_where, tokens=self._tokens)
        return self._translate(where, exclude, first_only=first_only)

    def _estimate_where(self, where: Where) -> int:
        return self.estimate(self._translate(where))

    def _translate(
        self, where: Where | None, exclude: Sequence[int] = (), *, first_only: bool = False
    ) -> qe.Filter | None:
        found: qe.Filter | None = translate(
            where, self._schema, self._kinds, exclude=exclude, first_only=first_only
        )
        return found
