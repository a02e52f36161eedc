"""`/v1/quarantine`: the products that cannot be indexed, why, and what is done with them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from backend import generations
from backend.access.scope import Scope
from backend.api import openapi, parameters
from backend.api.context import services
from backend.api.schemas import Json, pages
from backend.api.schemas.body import read_body
from backend.api.schemas.operation import QuarantineAnswer, QuarantineBody, QuarantinePage
from backend.api.schemas.query import QueryReader
from backend.api.scopes import requires_scope
from backend.database.engine import Database
from backend.indexing import quarantined
from backend.queue.progress import Quarantined

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
        rows = (
            quarantined.page(session, generation.id, after_id=after_id, limit=limit + 1)
            if generation
            else []
        )
    ids = list(dict.fromkeys(row.product_id for row in rows))
    shown = set(ids[:limit])
    names = ("sku", "reason", "failures", "image_uri", "image")
    items = [{name: getattr(it, name) for name in names} for it in rows if it.product_id in shown]
    return pages.as_page(items, pages.next_cursor("quarantine", ids, limit))


@api.post(
    "/quarantine:retry",
    description="Also single images; the count of failures begins anew. The work is done in the "
    "background.",
    openapi_extensions=openapi.inputs(body=QuarantineBody),
    responses={200: QuarantineAnswer, **openapi.refusals(400, 413, 415)},
)
@requires_scope(Scope.ADMIN)
def retry_quarantine() -> Json:
    """Try products in quarantine again, beginning with their images."""
    return _do(quarantined.retry, images=True)


@api.post(
    "/quarantine:discard",
    description="They are removed as by a DELETE. A product that is indexed by other images than "
    "the one in quarantine stays.",
    openapi_extensions=openapi.inputs(body=QuarantineBody),
    responses={200: QuarantineAnswer, **openapi.refusals(400, 413, 415)},
)
@requires_scope(Scope.ADMIN)
def discard_quarantine() -> Json:
    """Remove products in quarantine from the catalogue."""
    return _do(quarantined.discard, images=False)


def _do(work: Callable[[Database, Sequence[Quarantined]], list[str]], *, images: bool) -> Json:
    QueryReader.of_request().finish()
    body = read_body(QuarantineBody)
    with services().db.read() as session:
        wanted = None if body.everything else body.skus
        rows, unknown = quarantined.choose(session, wanted, images=images)
    skus = work(services().db, rows)
    services().notify()
    return {"skus": skus, "not_quarantined": unknown}
