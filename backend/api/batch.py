"""`/v1/products:batch`: many products in one request, each with its own result."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy.orm import Session

from backend import queue
from backend.access.scope import Scope
from backend.api import openapi
from backend.api.addresses import check_addresses
from backend.api.context import services, write_and_notify
from backend.api.problems import to_request_error
from backend.api.schemas import Json
from backend.api.schemas.body import read_body
from backend.api.schemas.product import BatchAnswer, BatchBody, read_draft
from backend.api.schemas.query import QueryReader
from backend.api.scopes import requires_scope
from backend.api.uploads import store_uploads
from backend.catalogue import products, skus
from backend.catalogue.products import Draft, Outcome
from backend.errors import InvalidProduct

api = openapi.blueprint("batch", tag="products")


@api.post(
    "/products:batch",
    operation_id="putProducts",
    description="Each item is stored as by a PUT, or refused with its problem; one bad "
    "item never fails the rest. Of several items with the same sku the last one counts.",
    openapi_extensions=openapi.inputs(body=BatchBody),
    responses={200: BatchAnswer, **openapi.refusals(400, 413, 415)},
)
@requires_scope(Scope.INGEST)
def post_batch() -> Json:
    """Store many products."""
    QueryReader.of_request().finish()
    items = read_body(BatchBody).items
    drafts = [_read(item) for item in items]
    results = write_and_notify(lambda session: _store(session, drafts))
    named: set[str] = set()  # what is allowed stands in the first problem that needs it
    return {"items": [_result(*each, named) for each in zip(items, results, strict=True)]}


def _read(item: Any) -> Draft | InvalidProduct:
    if not isinstance(item, dict):
        return InvalidProduct("must be a JSON object")
    sku = item.get("sku", "")
    if not isinstance(sku, str):
        return InvalidProduct(f"sku: {skus.RULE}", errors=[{"field": "sku", "reason": skus.RULE}])
    try:
        return store_uploads(read_draft(item, sku=sku))
    except InvalidProduct as error:
        return error


def _store(
    session: Session, drafts: Sequence[Draft | InvalidProduct]
) -> list[Outcome | InvalidProduct]:
    """Store the valid drafts; return the outcome or the error of each."""
    checked = _check_addresses(session, drafts)
    good = [draft for draft in checked if isinstance(draft, Draft)]
    saved = products.save(session, good, priority=queue.IMPORT)
    stored = iter(
        InvalidProduct(saved.reasons[position]) if outcome is Outcome.REJECTED else outcome
        for position, outcome in enumerate(saved.outcomes)
    )
    return [next(stored) if isinstance(draft, Draft) else draft for draft in checked]


def _check_addresses(
    session: Session, drafts: Sequence[Draft | InvalidProduct]
) -> list[Draft | InvalidProduct]:
    """Return the drafts, with an error instead of each one whose image address is not allowed."""
    named = [draft.sku for draft in drafts if isinstance(draft, Draft)]
    stored = products.image_uris(session, named)
    checked = list(drafts)
    for position, draft in enumerate(drafts):
        if isinstance(draft, Draft):
            try:
                check_addresses(draft, stored[draft.sku], services().settings)
            except InvalidProduct as error:
                checked[position] = error
    return checked


def _result(item: Any, result: Outcome | InvalidProduct, named: set[str]) -> Json:
    sku = item.get("sku") if isinstance(item, dict) else None
    shown = {"sku": sku if isinstance(sku, str) else None}
    if isinstance(result, Outcome):
        return shown | {"status": 201 if result is Outcome.ADDED else 200}
    problem = to_request_error(result)
    return shown | {"status": problem.status, "problem": problem.document(named)}
