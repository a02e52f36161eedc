"""The gallery: the catalogue as a grid, and what looks alike in it."""

from __future__ import annotations

from flask import render_template

from backend.access.scope import Scope
from backend.api.context import services
from backend.api.schemas import pages as cursors
from backend.api.schemas.query import QueryReader
from backend.api.schemas.written_products import write_products
from backend.api.scopes import requires_scope
from backend.catalogue import products
from backend.web import pages

MOST = 48
"""Products of one page of the grid."""

blueprint = pages.blueprint("gallery")


@blueprint.get("/")
@requires_scope(Scope.READ)
def show_grid() -> str:
    """Show the catalogue, one page after the other."""
    reader = QueryReader.of_request()
    after_id = reader.cursor("gallery")
    reader.finish()
    with services().db.read() as session:
        found = products.page(session, limit=MOST + 1, after_id=after_id)
        items = write_products(session, found[:MOST])
    cursor = cursors.next_cursor("gallery", [row.id for row in found], MOST)
    return render_template("gallery/grid.html", items=items, cursor=cursor)
