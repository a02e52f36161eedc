"""The page of one product: what looks like it and why, and what goes with it."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import quote

from flask import render_template, request

from backend.access.scope import Scope
from backend.api import similar_lists, together
from backend.api.context import filterable, services
from backend.api.schemas import Json
from backend.api.schemas.similar_requests import read_query
from backend.api.schemas.written_products import write_products
from backend.api.scopes import requires_scope
from backend.catalogue import products
from backend.errors import IndexUnavailable, NoGeneration, NotSearchable
from backend.merchandising import placements
from backend.recommendations.listed_products import Reason
from backend.search.query import Query
from backend.search.shaping import Shaping
from backend.web import asking, facets, pages, shopping

DEFAULTS: Final = {"limit": "12", "group_by": "group_id", "explain": "true"}
"""What the list of similar products has unless the address says otherwise."""

TOGETHER: Final = 6
BY_EVENTS: Final = (Reason.TOGETHER, Reason.INHERITED)
"""Why a product goes with this one. What only looks like it is in the other list."""

COMPARED: Final = (
    "article_type",
    "base_colour",
    "gender",
    "brand",
    "season",
    "usage",
    "year",
)
"""The fields in which a similar product may equal the one that is shown."""

DATA: Final = ("brand", "gender", "article_type", "base_colour", "season", "usage", "year")
"""The fields that lead to all products with the same value."""

blueprint = pages.blueprint("product")


@blueprint.get("/products/<sku>")
@requires_scope(Scope.READ)
def show_product(sku: str) -> str:
    """Show a product with its similar ones, shaped as the address says."""
    with services().db.read() as session:
        (product,) = write_products(session, [products.get(session, sku)])
        places = [it.name for it in placements.listed(session)]
    query, fields = read_query(asking.given(defaults=DEFAULTS), filterable())
    found, problem = _find_similar(sku, query, fields)
    return render_template(
        "gallery/product.html",
        product=product,
        rows=_rows(product),
        found=found,
        problem=problem,
        query=query,
        compared=[_compare(product, item) for item in found["items"]] if found else [],
        together=_find_together(sku),
        places=places,
        request_line=_request_line(sku),
        picked=shopping.picked(),
    )


def _find_similar(sku: str, query: Query, fields: list[str]) -> tuple[Json | None, str | None]:
    """Return what looks like a product, or why that cannot be said now."""
    try:
        return similar_lists.by_sku(sku, query, fields or list(asking.SHOWN)), None
    except (NotSearchable, NoGeneration, IndexUnavailable) as error:
        return None, error.message


def _find_together(sku: str) -> Json | None:
    """Return what shoppers have taken together with a product, or with what looks like it."""
    query = Query(limit=TOGETHER, schema=filterable(), shaping=Shaping(group_by="group_id"))
    try:
        found = together.find_together(sku, query, asking.SHOWN, complementary=True)
    except (NoGeneration, IndexUnavailable):
        return None
    found["items"] = [item for item in found["items"] if item["reason"] in BY_EVENTS]
    return found


def _rows(product: Json) -> list[dict[str, Any]]:
    """Return the fields of a product for people, with the address of all that have the same.

    An attribute that says what a field says, such as the brand of a feed, is not shown twice.
    """
    rows: list[dict[str, Any]] = [
        {
            "label": facets.label_of(field),
            "text": str(product[field]),
            "href": asking.page_url(
                "web_gallery.show_grid", **{field: asking.escaped(product[field])}
            ),
        }
        for field in DATA
        if product.get(field) is not None
    ]
    said = {(row["label"], row["text"]) for row in rows}
    for name, value in sorted((product["attributes"] or {}).items()):
        text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
        label = facets.label_of(name)
        if text and (label, text) not in said:
            rows.append({"label": label, "text": text, "href": None})
    return rows


def _compare(product: Json, item: Json) -> dict[str, list[str]]:
    """Return in which fields a similar product equals this one, and where it differs."""
    other = item["product"]
    shared, different = [], []
    for field in COMPARED:
        ours, theirs = product.get(field), other.get(field)
        if ours is None or theirs is None:
            continue
        if ours == theirs:
            shared.append(str(theirs))
        else:
            different.append(f"{facets.label_of(field)} {theirs}")
    return {"shared": shared, "different": different}


def _request_line(sku: str) -> str:
    """Return the request to the API that gives this list of similar products."""
    asked = [(k, v) for k, v in request.args.items(multi=True) if k != asking.SHOPPER and v]
    named = {name for name, _ in asked}
    asked += [(name, value) for name, value in DEFAULTS.items() if name not in named]
    pairs = (f"{k}={quote(v, safe=',:')}" for k, v in asked if v != asking.NONE)
    return f"GET {request.script_root}/v1/products/{quote(sku, safe='')}/similar?{'&'.join(pairs)}"
