"""The gallery: the catalogue as a grid, and what looks alike in it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from flask import render_template, request

from backend import generations
from backend.access.scope import Scope
from backend.api import similar_lists
from backend.api.context import filterable, services
from backend.api.schemas import Json
from backend.api.schemas import pages as cursors
from backend.api.schemas.query import QueryReader
from backend.api.schemas.written_products import write_products
from backend.api.scopes import requires_scope
from backend.catalogue import products
from backend.catalogue.names import has_words
from backend.errors import NoGeneration, WordsUnavailable
from backend.filters import Where
from backend.search.query import Query
from backend.search.query_text import LONGEST, can_encode
from backend.web import asking, facets, pages, prices, shopping

MOST: Final = 48
"""Products of one page of the grid."""

NAME: Final = "name"
LOOKS: Final = "looks"

blueprint = pages.blueprint("gallery")


@blueprint.get("/")
@requires_scope(Scope.READ)
def show_grid() -> str:
    """Show the catalogue, one page after the other, or what is found by words."""
    words = request.args.get("q", "").replace("\0", "").strip()[:LONGEST]
    has_looks = _can_search_by_looks()
    by = LOOKS if has_looks and request.args.get("by") == LOOKS else NAME
    reader = asking.given("q", "by")
    found = _find_by_looks(reader, words) if words and by == LOOKS else _list(reader, words)
    return render_template(
        "gallery/grid.html",
        **found,
        **_filters(found["where"]),
        words=words,
        by=by,
        has_looks=has_looks,
        is_first=not request.args.get("cursor"),
        picked=shopping.picked() if not words and not request.args.get("cursor") else None,
    )


def _list(reader: QueryReader, words: str) -> dict[str, Any]:
    """Read one page of the catalogue, in the order in which products were added."""
    after_id = reader.cursor("gallery")
    where = reader.where(filterable())
    reader.finish()
    with services().db.read() as session:
        named = [has_words(session, words)] if words else []
        found = products.page(session, limit=MOST + 1, after_id=after_id, where=where, also=named)
        items = write_products(session, found[:MOST], fields=asking.SHOWN)
    cursor = cursors.next_cursor("gallery", [row.id for row in found], MOST)
    return {"items": _without_score(items), "cursor": cursor, "where": where, "problem": None}


def _find_by_looks(reader: QueryReader, words: str) -> dict[str, Any]:
    """Find what looks as the words say, best first; there is one page."""
    where = reader.where(filterable())
    reader.finish()
    query = Query(limit=MOST, where=where, schema=filterable(), text=words)
    query = replace(query, shaping=replace(query.shaping, group_by="group_id"))
    items, problem = list[Json](), None
    try:
        items = similar_lists.by_text(query, list(asking.SHOWN))["items"]
    except WordsUnavailable as error:
        problem = error.message
    return {"items": items, "cursor": None, "where": where, "problem": problem}


def _without_score(written: list[Json]) -> list[Json]:
    return [{"sku": product["sku"], "product": product} for product in written]


def _filters(where: Where) -> dict[str, Any]:
    """Return what the filters beside the grid show; without an index there are none."""
    try:
        shown, total = facets.read_facets(where), facets.read_total(where)
        bounds = prices.BOUNDS if facets.has_prices() else {}
    except NoGeneration:
        shown, total, bounds = [], None, {}
    kept, chosen = facets.read_kept(shown, but=list(bounds)), facets.read_chosen(where)
    return {"facets": shown, "total": total, "bounds": bounds, "kept": kept, "chosen": chosen}


def _can_search_by_looks() -> bool:
    with services().db.read() as session:
        generation = generations.active_or_none(session)
        return generation is not None and can_encode(session, generation)
