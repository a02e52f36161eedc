"""`/v1/quarantine`: the products that cannot be indexed, and why."""

from __future__ import annotations

from typing import Any

from sqlalchemy.orm import Session

from backend import generations
from backend.access.scope import Scope
from backend.api import openapi, parameters
from backend.api.context import services
from backend.api.schemas import pages
from backend.api.schemas.operation import QuarantinePage
from backend.api.schemas.query import QueryReader
from backend.api.scopes import requires_scope
from backend.queue.progress import Quarantined, quarantine, quarantined_images

api = openapi.blueprint("quarantine", tag="operation")


@api.get(
    "/quarantine",
    description="Also single images of products that are indexed by their others. `limit` counts "
    "products.",
    openapi_extensions=openapi.inputs(parameters.limit(), parameters.CURSOR),
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
        rows = _read(session, generation.id, after_id, limit + 1) if generation else []
    ids = list(dict.fromkeys(row.product_id for row in rows))
    shown = set(ids[:limit])
    names = ("sku", "reason", "failures", "image_uri", "image")
    items = [{name: getattr(it, name) for name in names} for it in rows if it.product_id in shown]
    return pages.as_page(items, pages.next_cursor("quarantine", ids, limit))


def _read(session: Session, generation_id: int, after_id: int, limit: int) -> list[Quarantined]:
    """Return whole products and single images of up to `limit` products, in id order."""
    found = [
        *quarantine(session, generation_id, after_id=after_id, limit=limit),
        *quarantined_images(session, generation_id, after_id=after_id, limit=limit),
    ]
    found.sort(key=lambda row: (row.product_id, row.image or 0))
    first = list(dict.fromkeys(row.product_id for row in found))[:limit]
    return [row for row in found if row.product_id in set(first)]
