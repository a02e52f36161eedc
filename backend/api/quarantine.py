"""`/v1/quarantine`: the products that cannot be indexed, and why."""

from __future__ import annotations

from typing import Any

from backend import generations
from backend.access.scope import Scope
from backend.api import openapi
from backend.api.context import services
from backend.api.schemas import pages
from backend.api.schemas.operation import QuarantinePage
from backend.api.schemas.query import QueryReader
from backend.api.scopes import requires_scope
from backend.queue.progress import quarantine

api = openapi.blueprint("quarantine", tag="operation")


@api.get(
    "/quarantine",
    openapi_extensions=openapi.inputs(openapi.limit(), openapi.CURSOR),
    responses={200: QuarantinePage, **openapi.refusals()},
)
@requires_scope(Scope.ADMIN)
def list_quarantine() -> dict[str, Any]:
    """List the products that cannot be indexed, and why."""
    reader = QueryReader.of_request()
    limit = reader.integer("limit", default=10, least=1, most=100)
    after_id = reader.cursor("quarantine")
    reader.finish()
    with services().db.read() as session:
        generation = generations.active_or_none(session)
        rows = (
            quarantine(session, generation.id, after_id=after_id, limit=limit + 1)
            if generation
            else []
        )
    names = ("sku", "reason", "failures", "image_uri")
    items = [{name: getattr(row, name) for name in names} for row in rows[:limit]]
    ids = [row.product_id for row in rows]
    return pages.as_page(items, pages.next_cursor("quarantine", ids, limit))
