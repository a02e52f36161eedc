"""Lists of recommended products as answers: filters, rules, groups, pages."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any, Final, TypeAlias

from flask import g

from backend.api import parameters
from backend.api.attribute_checks import said_of_attributes
from backend.api.context import services
from backend.api.cursors import write_cursor
from backend.api.recommended_candidates import ListItem, read_passing, shown_before, taken_groups
from backend.api.recommended_pins import ListRequest, find_pins
from backend.api.replay import log_recommended
from backend.api.request_log import took_ms
from backend.api.schemas import Json
from backend.api.schemas.written_items import product_of_item, rules_of_item, shaped_members
from backend.api.schemas.written_products import ProductWriter
from backend.database.models import Generation, utcnow
from backend.database.reader import Reader
from backend.events.answers import LONGEST_ID
from backend.recommendations.listed_products import Because
from backend.recommendations.recommend import List
from backend.search import statements
from backend.search.found import Neighbour
from backend.search.grouping import with_sizes
from backend.search.paging import Position
from backend.search.pinning import with_pins
from backend.search.query import Query
from backend.search.reordering import pool_of, reordered
from backend.search.restricting import Same, read_values, restricted
from backend.search.shaping import has_clause
from backend.search.stored_vectors import StoredVectors

LIST_PARAMETERS: Final = (
    parameters.limit(),
    parameters.LIST_CURSOR,
    parameters.EXCLUDE,
    parameters.FIELDS,
    parameters.EXPLAINED,
    *parameters.SHAPED,
    *parameters.FILTERS,
)


def restrict(reader: Reader, query: Query, ids: Sequence[int]) -> tuple[Query, Same]:
    """Return the query with the filter for products like these, and what that demands."""
    fields = query.shaping.restrict
    if not fields:
        return query, {}
    same = read_values(reader, ids, fields)
    return replace(query, where=restricted(query.where, same)), same


def with_restricted(answer: Json, same: Same) -> Json:
    """Say in an answer what the products had to have in common with the query's."""
    if same:
        answer["meta"]["restricted"] = {field: list(values) for field, values in same.items()}
    return answer


Make: TypeAlias = Callable[[Query, Collection[int]], List]
"""Makes the list of a query, without the products that are shown already."""


def write_list(
    reader: Reader,
    generation: Generation,
    make: Make,
    query: Query,
    fields: Collection[str],
    listed: ListRequest,
    *,
    unresolved: Mapping[str, str] = MappingProxyType({}),
    keep: Callable[[Neighbour], bool] | None = None,
) -> Json:
    """Return the first products of a list that pass the filter now, as JSON."""
    former = shown_before(query)
    made, keep = make(query, former), _visible(query, _further(reader, query, keep))
    pins = find_pins(reader, generation, made, query, listed, keep)
    pinned = list(pins.values())
    shown, dropped = _filled(reader, generation, make, made, query, former, pinned, keep)
    shown = with_pins(pins, shown, query.limit)
    names = _names(reader, made, shown)
    writer = ProductWriter(fields)
    answer: Json = {
        "items": [_item(one, names, writer, explain=query.explain) for one in shown],
        "next_cursor": _next_cursor(generation, query, shown, listed),
        "recommendation_id": g.request_id[:LONGEST_ID],
        "generation": generation.id,
        "request_id": g.request_id,
        "unresolved": [{"sku": sku, "state": it} for sku, it in unresolved.items()],
        "meta": {
            "tastes": [
                {"share": round(share, 4), "skus": [names[it] for it in members if it in names]}
                for share, members in made.tastes
            ],
            "took_ms": took_ms(),
            **({"relaxed": dropped} if query.shaping.relax else {}),
            **({"placement": query.placement.shown()} if query.placement else {}),
            **listed.split.shown(),
            **_said_of_rules(query, shown),
            **said_of_attributes(query.where, is_short=len(shown) < query.limit),
        },
    }
    _log(answer, query, listed, shown)
    return answer


def _filled(
    reader: Reader,
    generation: Generation,
    make: Make,
    made: List,
    query: Query,
    former: Collection[int],
    pinned: Sequence[ListItem],
    keep: Callable[[Neighbour], bool] | None,
) -> tuple[list[ListItem], list[str]]:
    """Return the products beside pinned ones, and the clauses that were dropped to fill the list.

    A clause of `relax` is dropped while the list is too short.
    """
    passing = read_passing(reader, generation, made.candidates(), query, keep)
    shown = _first(generation, passing, query, pinned)
    dropped: list[str] = []
    for clause in query.shaping.relax:
        before = [*pinned, *shown]
        if len(before) >= query.limit or not has_clause(query.where, None, clause):
            continue
        dropped.append(clause)
        where = {field: it for field, it in query.where.items() if field != clause}
        query = replace(query, where=where)
        ids = {*former, *(one.item.product.id for one in before)}
        passing = read_passing(reader, generation, make(query, ids).candidates(), query, keep)
        shown += _first(generation, passing, query, before, dropped=dropped)
    return shown, dropped


def _names(reader: Reader, made: List, shown: Sequence[ListItem]) -> dict[int, str]:
    """Return {product id: sku} of all products that the answer names."""
    named = {it.product_id for one in shown for it in one.chosen.because}
    named |= {product for _, members in made.tastes for product in members}
    names = {**made.skus, **{one.item.product.id: one.item.product.sku for one in shown}}
    if unknown := named - names.keys():
        names |= statements.read_skus(reader, unknown)
    return names


def _log(answer: Json, query: Query, listed: ListRequest, shown: Sequence[ListItem]) -> None:
    """Keep the answer for a day, under its placement where no experiment has named one."""
    split = listed.split
    if split.named is None and query.placement is not None:
        split = replace(split, named=query.placement.name)
    chosen = [one.chosen for one in shown]
    log_recommended(answer, listed.name, chosen, user=listed.user, visit=listed.visit, split=split)


def _said_of_rules(query: Query, shown: Sequence[ListItem]) -> Json:
    if not query.explain:
        return {}
    return {"rules": query.ruling.described([one.item for one in shown])}


def _visible(
    query: Query, keep: Callable[[Neighbour], bool] | None
) -> Callable[[Neighbour], bool] | None:
    """Return what tells whether a product is wanted, and no rule hides it."""
    if not query.ruling.hides_any:
        return keep
    return lambda item: (keep is None or keep(item)) and not query.ruling.hides(item)


def _further(
    reader: Reader, query: Query, keep: Callable[[Neighbour], bool] | None
) -> Callable[[Neighbour], bool] | None:
    """Return what tells whether a product is wanted, and no former page has shown its group."""
    if query.after is None:
        return keep
    shown, groups, group_by = query.after.shown, taken_groups(reader, query), query.shaping.group_by

    def is_further(item: Neighbour) -> bool:
        if item.product.id in shown or (group_by and item.value_of(group_by) in groups):
            return False
        return keep is None or keep(item)

    return is_further


def _next_cursor(
    generation: Generation, query: Query, shown: Sequence[ListItem], listed: ListRequest
) -> str | None:
    if len(shown) < query.limit:
        return None
    position = query.after or Position(generation_id=generation.id)
    ids = [one.item.product.id for one in shown]
    return write_cursor(position.after(ids), listed.asked, *listed.about)


def _first(
    generation: Generation,
    passing: Iterator[ListItem],
    query: Query,
    before: Sequence[ListItem],
    *,
    dropped: Sequence[str] = (),
) -> list[ListItem]:
    """Return the products of a list that follow those shown before, the first of each group.

    For the order by boosts and diversity the place counts, since scores of different reasons cannot
    be compared: from 1 for the first candidate, falling evenly to 0.
    """
    limit, pool = query.limit - len(before), pool_of(query.limit, query.shaping)
    groups = {_group_of(one, query) for one in before} - {None}
    shown = {one.item.product.id for one in before}
    candidates = []
    for one in passing:
        group = _group_of(one, query)
        if one.item.product.id not in shown and (group is None or group not in groups):
            groups.add(group)
            candidates.append(one)
        if len(candidates) >= (pool if query.shaping.reorders else limit):
            break
    index = services().indexes.of(generation)
    items = [one.item for one in candidates]
    for item in items:
        item.relaxed = tuple(dropped)
    items = query.ruling.weighed(items)
    places = [1 - at / pool for at in range(len(items))]
    ordered = reordered(
        StoredVectors(index), items, places, query.shaping, limit=limit, now=utcnow()
    )
    items = [item for _, item in ordered]
    if group_by := query.shaping.group_by:
        several = bool(generation.most_images)
        items = with_sizes(index, items, group_by, query.where, several=several)
    chosen = [candidates[at] for at, _ in ordered]
    return [ListItem(one.chosen, item) for one, item in zip(chosen, items, strict=True)]


def _group_of(one: ListItem, query: Query) -> Any:
    return one.item.value_of(query.shaping.group_by) if query.shaping.group_by else None


def _item(one: ListItem, names: dict[int, str], writer: ProductWriter, *, explain: bool) -> Json:
    def because(it: Because) -> Json:
        return {"sku": names[it.product_id], "share": it.share}

    return {
        "sku": one.item.product.sku,
        "score": round(one.chosen.score, 6),
        "reason": one.chosen.reason.value,
        "because": [because(it) for it in one.chosen.because if it.product_id in names],
        "product": product_of_item(one.item, writer),
        **shaped_members(one.item),
        **({"explain": {"rules": rules_of_item(one.item)}} if explain else {}),
    }
