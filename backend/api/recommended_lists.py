"""Lists of recommended products as answers in JSON."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Final

from flask import g

from backend.api import parameters
from backend.api.attribute_checks import said_of_attributes
from backend.api.cursors import write_cursor
from backend.api.recommended_candidates import Keep, ListItem
from backend.api.recommended_pins import ListRequest
from backend.api.recommended_selection import Make, select_products
from backend.api.replay import log_recommended
from backend.api.request_log import took_ms
from backend.api.schemas import Json
from backend.api.schemas.written_items import product_of_item, rules_of_item, shaped_members
from backend.api.schemas.written_products import ProductWriter
from backend.database.models import Generation
from backend.database.reader import Reader
from backend.events.answers import LONGEST_ID
from backend.recommendations.listed_products import Because
from backend.recommendations.lists import List
from backend.search import statements
from backend.search.paging import Position
from backend.search.query import Query
from backend.search.restricting import Same, read_values, restricted

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


def write_list(
    reader: Reader,
    generation: Generation,
    make: Make,
    query: Query,
    fields: Collection[str],
    listed: ListRequest,
    *,
    unresolved: Mapping[str, str] = MappingProxyType({}),
    keep: Keep | None = None,
) -> Json:
    """Return the first products of a list that pass the filter now, as JSON."""
    selected = select_products(reader, generation, make, query, listed, keep)
    shown, tastes = selected.items, selected.made.tastes
    names = _names(reader, selected.made, shown)
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
                for share, members in tastes
            ],
            "took_ms": took_ms(),
            **({"relaxed": selected.dropped} if query.shaping.relax else {}),
            **({"placement": query.placement.shown()} if query.placement else {}),
            **listed.split.shown(),
            **_said_of_rules(query, shown),
            **said_of_attributes(query.where, is_short=len(shown) < query.limit),
        },
    }
    _log(answer, query, listed, shown)
    return answer


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


def _next_cursor(
    generation: Generation, query: Query, shown: Sequence[ListItem], listed: ListRequest
) -> str | None:
    if len(shown) < query.limit:
        return None
    position = query.after or Position(generation_id=generation.id)
    ids = [one.item.product.id for one in shown]
    return write_cursor(position.after(ids), listed.asked, *listed.about)


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
