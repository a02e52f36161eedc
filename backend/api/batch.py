"""`/v1/products:…`: many products in one request; each that is written has its own result."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from sqlalchemy.orm import Session

from backend import queue
from backend.access.scope import Scope
from backend.api import openapi
from backend.api.context import services, write_and_notify
from backend.api.image_addresses import check_addresses
from backend.api.problems import to_request_error
from backend.api.schemas import Json
from backend.api.schemas.batch import (
    BatchAnswer,
    BatchBody,
    BatchPatchBody,
    FoundProducts,
    ReadBody,
    SkusBody,
)
from backend.api.schemas.body import Body, read_body
from backend.api.schemas.product import read_draft
from backend.api.schemas.query import QueryReader
from backend.api.schemas.written_products import write_products
from backend.api.scopes import requires_scope
from backend.api.uploads import store_uploads
from backend.catalogue import products, skus
from backend.catalogue.products import Draft, Outcome, unknown_product
from backend.errors import InvalidProduct, LookalikeError, UnknownProduct

Item: TypeAlias = Draft | InvalidProduct | UnknownProduct
"""A product as it was read, or what is wrong with it."""

Result: TypeAlias = Outcome | InvalidProduct | UnknownProduct
Write: TypeAlias = Callable[[Session, Sequence[Item]], list[Result]]

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
    return _write_all(read_json(BatchBody).items, _store)


@api.post(
    "/products:patch",
    operation_id="patchProducts",
    description="Each item changes one product as by a PATCH, or is refused with its problem; one "
    "bad item never fails the rest. Of several items with the same sku the last one counts.",
    openapi_extensions=openapi.inputs(body=BatchPatchBody),
    responses={200: BatchAnswer, **openapi.refusals(400, 413, 415)},
)
@requires_scope(Scope.INGEST)
def patch_batch() -> Json:
    """Change some fields of many products."""
    return _write_all(read_json(BatchPatchBody).items, _change)


@api.post(
    "/products:delete",
    operation_id="deleteProducts",
    description="The result of a sku that no product has is a problem; the others are removed.",
    openapi_extensions=openapi.inputs(body=SkusBody),
    responses={200: BatchAnswer, **openapi.refusals(400, 413, 415)},
)
@requires_scope(Scope.INGEST)
def delete_batch() -> Json:
    """Remove many products."""
    skus_ = read_json(SkusBody).skus

    def remove(session: Session) -> set[str]:
        there = {it.sku for it in products.named(session, skus_, lock=True)}
        products.remove(session, sorted(there), priority=queue.IMPORT)
        return there

    there = write_and_notify(remove)
    items = [{"sku": sku, "status": 204} if sku in there else _unknown(sku) for sku in skus_]
    return {"items": items}


@api.post(
    "/products:read",
    operation_id="readProducts",
    openapi_extensions=openapi.inputs(body=ReadBody),
    responses={200: FoundProducts, **openapi.refusals(400, 413, 415)},
)
@requires_scope(Scope.READ)
def read_batch() -> Json:
    """Read many products by their skus."""
    body = read_json(ReadBody)
    wanted = list(dict.fromkeys(body.skus))
    with services().db.read() as session:
        found = products.named(session, wanted)
        shown = write_products(session, found, fields=body.fields)
    by_sku = {it["sku"]: it for it in shown}
    return {
        "items": [by_sku[sku] for sku in wanted if sku in by_sku],
        "unknown": [sku for sku in wanted if sku not in by_sku],
    }


def read_json(model: type[Body]) -> Body:
    """Return the body of a request that takes no parameters."""
    QueryReader.of_request().finish()
    return read_body(model)


def _write_all(items: Sequence[Any], write: Write) -> Json:
    """Write the items in one transaction; return the result of each."""
    drafts = [_read(item) for item in items]
    results = write_and_notify(lambda session: write(session, drafts))
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


def _store(session: Session, drafts: Sequence[Item]) -> list[Result]:
    """Store the valid drafts; return the outcome or the error of each."""
    return _save(session, _check_addresses(session, drafts), complete=True)


def _change(session: Session, drafts: Sequence[Item]) -> list[Result]:
    """Lay the valid drafts over their products; return the outcome or the error of each."""
    given = [draft.sku for draft in drafts if isinstance(draft, Draft)]
    there = {it.sku for it in products.named(session, given, lock=True)}
    known = [
        unknown_product(draft.sku) if isinstance(draft, Draft) and draft.sku not in there else draft
        for draft in drafts
    ]
    return _save(session, _check_addresses(session, known), complete=False)


def _save(session: Session, items: Sequence[Item], *, complete: bool) -> list[Result]:
    good = [draft for draft in items if isinstance(draft, Draft)]
    saved = products.save(session, good, priority=queue.IMPORT, complete=complete)
    stored = iter(
        InvalidProduct(saved.reasons[position]) if outcome is Outcome.REJECTED else outcome
        for position, outcome in enumerate(saved.outcomes)
    )
    return [next(stored) if isinstance(draft, Draft) else draft for draft in items]


def _check_addresses(session: Session, drafts: Sequence[Item]) -> list[Item]:
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


def _result(item: Any, result: Result, named: set[str]) -> Json:
    sku = item.get("sku") if isinstance(item, dict) else None
    shown = {"sku": sku if isinstance(sku, str) else None}
    if isinstance(result, Outcome):
        return shown | {"status": 201 if result is Outcome.ADDED else 200}
    return shown | _problem(result, named)


def _unknown(sku: str) -> Json:
    return {"sku": sku} | _problem(unknown_product(sku), set())


def _problem(error: LookalikeError, named: set[str]) -> Json:
    problem = to_request_error(error)
    return {"status": problem.status, "problem": problem.document(named)}
