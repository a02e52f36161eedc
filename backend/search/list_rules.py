"""The rules of merchandisers that hold for the list of a query."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from backend.database.engine import Database
from backend.database.models import Generation, utcnow
from backend.database.reader import Reader
from backend.filters import Schema
from backend.merchandising.rule_set import ActiveRules
from backend.search.query import Query
from backend.search.query_product import QueryProduct
from backend.search.ruling import Ruling, rulings


class ListRules:
    """Gives queries the rules that hold now for their lists. Safe to call from several threads.

    A query that brings rules of its own (`query.rules`) gets those that hold of these. `schema` is
    for the filters of rules.
    """

    def __init__(self, db: Database, schema: Schema) -> None:
        self._active = ActiveRules(db, schema)

    def may_have_conditions(self, query: Query) -> bool:
        """Tell whether rules look at the product of the query, as far as the rules are known."""
        rules = self._active.last if query.rules is None else query.rules
        return rules.has_conditions

    def for_products(
        self, connection: Reader, query: Query, asked: Sequence[QueryProduct]
    ) -> list[Query]:
        """Return the query with the rules for the list of each of some products, read at once."""
        if not asked:
            return []
        about = [[one.product_id] for one in asked]
        known = {one.product_id: one.row for one in asked if one.row is not None}
        first = asked[0]
        return self._for_each(
            connection, query, first.generation, first.rules_version, about, known
        )

    def for_list(
        self,
        connection: Reader,
        query: Query,
        generation: Generation,
        version: int | None,
        about: Sequence[int] = (),
    ) -> Query:
        """Return the query with the rules for a list that is about some products, given by id.

        `version` is the number of the newest change of a rule; None: there was none.
        """
        return self._for_each(connection, query, generation, version, [about])[0]

    def _for_each(
        self,
        connection: Reader,
        query: Query,
        generation: Generation,
        version: int | None,
        about: Sequence[Sequence[int]],
        known: Mapping[int, Any] = MappingProxyType({}),
    ) -> list[Query]:
        rules = self._active.of(version) if query.rules is None else query.rules
        if not (rules.rules or query.ruling.rules):
            return [query for _ in about]
        found = rulings(
            connection,
            generation.id,
            rules,
            placement=query.placement.name if query.placement else None,
            about=about,
            known=known,
            now=utcnow(),
        )
        return [_with_rules(query, it) for it in found]


def _with_rules(query: Query, ruling: Ruling) -> Query:
    if not ruling.rules and not query.ruling.rules:
        return query
    return replace(query, ruling=ruling, shaping=ruling.shaped(query.shaping))
