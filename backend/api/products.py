"""`/v1/products`: one product, and the list of all."""

from __future__ import annotations

from flask import Response, url_for
from sqlalchemy.orm import Session

from backend import generations, queue
from backend.access.scope import Scope
from backend.api import openapi, parameters, product_pages
from backend.api.attribute_checks import with_unknown_attributes
from backend.api.conditional import check_added, check_preconditions, note_revision
from backend.api.context import filterable, services, write_and_notify
from backend.api.image_addresses import check_addresses
from backend.api.schemas import Json, pages
from backend.api.schemas.body import json_body
from backend.api.schemas.product import (
    MEMBERS,
    Product,
    ProductBody,
    ProductPage,
    ProductPatch,
    read_changes,
    read_draft,
)
from backend.api.schemas.query import QueryReader
from backend.api.schemas.written_products import write_products
from backend.api.scopes import requires_scope
from backend.api.uploads import store_uploads
from backend.catalogue import ordered_products, products
from backend.catalogue.names import has_words
from backend.catalogue.ordered_products import Order
from backend.catalogue.products import Outcome
from backend.database import models
from backend.errors import UnknownProduct
from backend.queue.progress import State, is_in

api = openapi.blueprint("products", tag="products")


@api.put(
    "/products/<sku>",
    description="The body is the complete product: absent fields become empty. Only the images "
    "stay, because they may have been uploaded: `images: []` removes them, `image_uri: null` the "
    "first of them.",
    openapi_extensions=openapi.inputs(
        parameters.SKU, parameters.IF_MATCH, parameters.IF_NONE_MATCH, body=ProductBody
    ),
    responses={
        200: Product,
        201: Product,
        **openapi.refusals(400, 412, 413, 415),
    },
)
@requires_scope(Scope.INGEST)
def put_product(sku: str) -> tuple[Json, int, dict[str, str]]:
    """Store a product."""
    QueryReader.of_request().finish()
    draft = store_uploads(read_draft(json_body(), sku=sku))

    def store(session: Session) -> tuple[Json, Outcome]:
        check_preconditions(session, sku)
        stored = products.image_uris(session, [sku])
        check_addresses(draft, stored[sku], services().settings)
        saved = products.save(session, [draft], priority=queue.SINGLE)
        products.refuse_rejected(saved)
        check_added(saved.outcomes[0])
        return _as_json(session, products.get(session, sku)), saved.outcomes[0]

    shown, outcome = write_and_notify(store)
    if outcome is Outcome.ADDED:
        return shown, 201, {"Location": url_for("products.get_product", sku=sku)}
    return shown, 200, {}


@api.patch(
    "/products/<sku>",
    description="Absent fields stay. Attributes are merged; an attribute of null is removed.",
    openapi_extensions=openapi.inputs(parameters.SKU, parameters.IF_MATCH, body=ProductPatch),
    responses={200: Product, **openapi.refusals(400, 404, 412, 413, 415)},
)
@requires_scope(Scope.INGEST)
def patch_product(sku: str) -> Json:
    """Change some fields of a product."""
    QueryReader.of_request().finish()
    changes = read_changes(json_body(), sku=sku)
    parsed = products.parse(changes)
    with services().db.read() as session:
        products.get(session, sku)
    draft = store_uploads(parsed)

    def change(session: Session) -> Json:
        check_preconditions(session, sku)
        check_addresses(draft, products.image_uris(session, [sku])[sku], services().settings)
        product = products.edit(session, draft, priority=queue.SINGLE)
        return _as_json(session, product)

    return write_and_notify(change)


@api.get(
    "/products/<sku>",
    openapi_extensions=openapi.inputs(parameters.SKU, parameters.FIELDS, parameters.IF_CHANGED),
    responses={200: Product, 304: openapi.UNCHANGED, **openapi.refusals(404)},
)
@requires_scope(Scope.READ)
def get_product(sku: str) -> Json:
    """Read a product, its state, and the reason of a quarantine."""
    reader = QueryReader.of_request()
    fields = reader.words_among("fields", MEMBERS)
    reader.finish()
    with services().db.read() as session:
        return _as_json(session, products.get(session, sku), fields)


@api.delete(
    "/products/<sku>",
    openapi_extensions=openapi.inputs(parameters.SKU, parameters.IF_MATCH),
    responses={204: None, **openapi.refusals(404, 412)},
)
@requires_scope(Scope.INGEST)
def delete_product(sku: str) -> Response:
    """Remove a product."""
    QueryReader.of_request().finish()

    def remove(session: Session) -> None:
        check_preconditions(session, sku)
        if not products.remove(session, [sku], priority=queue.SINGLE):
            raise UnknownProduct(f"there is no product with the sku {sku!r}", sku=sku)

    write_and_notify(remove)
    return Response(status=204)


@api.get(
    "/products",
    openapi_extensions=openapi.inputs(
        product_pages.WORDS,
        product_pages.SORT,
        parameters.limit(),
        parameters.CURSOR,
        parameters.STATE,
        parameters.FIELDS,
        *parameters.FILTERS,
        parameters.IF_CHANGED,
    ),
    responses={200: ProductPage, 304: openapi.UNCHANGED, **openapi.refusals()},
)
@requires_scope(Scope.READ)
def list_products() -> Json:
    """List products."""
    reader = QueryReader.of_request()
    words = product_pages.read_words(reader)
    order = reader.choice("sort", list(Order), default=Order.ADDED)
    limit = reader.integer("limit", default=10, least=1, most=100)
    after = product_pages.read_place(reader, order)
    wanted = reader.words_among("state", list(State))
    fields = reader.words_among("fields", MEMBERS)
    where = reader.where(filterable())
    reader.finish()
    with services().db.read() as session:
        generation = generations.active_or_none(session)
        also = [is_in(wanted, generation.id if generation else None)] if wanted else []
        also += [has_words(session, words)] if words else []
        found = ordered_products.page(
            session, limit=limit + 1, order=order, after=after, where=where, also=also
        )
        items = write_products(session, found[:limit], fields=fields)
    page = pages.as_page(items, product_pages.next_cursor(found, order, limit))
    return with_unknown_attributes(page, where, is_short=len(items) < limit)


def _as_json(session: Session, product: models.Product, fields: list[str] | None = None) -> Json:
    note_revision(session, product)
    (shown,) = write_products(session, [product], fields=fields or ())
    return shown
