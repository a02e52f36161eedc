"""`…/similar`: the products that look like a product, or like an image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final, NamedTuple

from flask import g, request
from werkzeug.datastructures import MultiDict

from backend.access.scope import Scope
from backend.api import openapi, parameters
from backend.api.attribute_checks import check_filter, said_of_attributes
from backend.api.context import filterable, services
from backend.api.problems import to_request_error
from backend.api.remembered import recall, remember
from backend.api.replay import log_each_similar
from backend.api.request_log import took_ms
from backend.api.schemas import Json
from backend.api.schemas.body import read_body
from backend.api.schemas.query import QueryReader
from backend.api.schemas.similar_items import SimilarAnswer, SimilarBatchAnswer
from backend.api.schemas.similar_requests import (
    SimilarBatchBody,
    SimilarBody,
    read_both,
    read_query,
)
from backend.api.schemas.written_items import EachAnswer
from backend.api.scopes import requires_scope
from backend.api.similar_lists import by_address, by_image, by_sku, by_text
from backend.api.splitting import (
    Asker,
    ShopperSplit,
    asker_for,
    asker_of,
    tried_generation,
    without_generation,
)
from backend.errors import LookalikeError, NotAnImage
from backend.search.query import Answer, Query
from backend.vectors.image_points import MOST_IMAGES

FORM: Final[Json] = {
    "multipart/form-data": {"schema": {"$ref": f"{openapi.COMPONENTS}{openapi.SIMILAR_FORM}"}}
}

TWICE: Final = "stands for the image: send it without one"

UNDECLARED: Final = "the body is JSON: send it with the header Content-Type: application/json"

api = openapi.blueprint("similar", tag="similar items")


@api.get(
    "/products/<sku>/similar",
    operation_id="getSimilarProducts",
    description="Best first, without the product itself. A product that has no vector yet is "
    "answered with 409, its state and its reason.",
    openapi_extensions=openapi.inputs(
        parameters.SKU,
        parameters.IMAGE_ASKED,
        parameters.LIST_CURSOR,
        *parameters.SEARCH,
        parameters.IF_CHANGED,
    ),
    responses={200: SimilarAnswer, 304: openapi.UNCHANGED, **openapi.refusals(404, 409, 410, 503)},
)
@requires_scope(Scope.READ)
def similar_to_product(sku: str) -> Json:
    """Find the products that look like this one."""
    read = _read_asked()
    return by_sku(sku, read.query, read.fields, read.cursor, asker=read.asker)


@api.post(
    "/similar",
    operation_id="searchSimilarProducts",
    description="The image is the field `image` of a form, or the body itself. A JSON body names "
    "an image by its address, a product or a text instead; a text can also go with an image or a "
    "product. The parameters of the query string hold for every kind of body; each may be given in "
    "one place. A further page of a query by an image needs only its `cursor`.",
    openapi_extensions=openapi.inputs(
        parameters.IMAGE_CURSOR,
        *parameters.SEARCH,
        parameters.BOX,
        body=SimilarBody,
        content={**FORM, **openapi.FILE},
    ),
    responses={
        200: SimilarAnswer,
        **openapi.refusals(400, 403, 404, 409, 410, 413, 415, 503),
    },
)
@requires_scope(Scope.READ)
def similar_to_image() -> Json:
    """Find the products that look like this image."""
    if request.is_json:
        return _by_json()
    if request.mimetype == "multipart/form-data":
        return _by_form()
    return _by_file()


@api.post(
    "/similar:batch",
    operation_id="getSimilarOfProducts",
    description="Each sku has its own answer, as by GET, or its problem; one bad sku never fails "
    "the rest. All answers are of one generation and by one filter.",
    openapi_extensions=openapi.inputs(body=SimilarBatchBody),
    responses={200: SimilarBatchAnswer, **openapi.refusals(400, 404, 410, 413, 415, 503)},
)
@requires_scope(Scope.READ)
def similar_to_each() -> Json:
    """Find the products that look like each of many products."""
    QueryReader.of_request().finish()
    body = read_body(SimilarBatchBody)
    check_filter(body.filter)
    asker = asker_for(body.user, body.session, placement=body.placement)
    tried, split = _tried_in_batch(body, asker)
    query = body.query(filterable(), placement=asker.place(body.placement), tried=tried)
    answers = services().similar.to_products(body.skus, query)
    each, named = EachAnswer(body.fields), set[str]()
    items = [
        each.write(sku, answer) if isinstance(answer, Answer) else _problem(sku, answer, named)
        for sku, answer in zip(body.skus, answers, strict=True)
    ]
    found = [answer for answer in answers if isinstance(answer, Answer)]
    for answer in found:
        services().recall.notice(answer.search)
    if split.experiment is not None:
        log_each_similar(items, answers, replace(asker, split=split))
    meta = _meta_of_batch(found, query) | split.shown() if found else {}
    return {
        "items": items,
        "generation": found[0].generation.id if found else None,
        "request_id": g.request_id,
        "meta": {**meta, "took_ms": took_ms()},
    }


def _meta_of_batch(found: Sequence[Answer], query: Query) -> Json:
    """Return what holds for all answers of a batch, of which there is at least one."""
    first = found[0]
    wanted = ("embedder", "fingerprint", "search_mode", "placement")
    meta = {name: first.meta[name] for name in wanted if name in first.meta}
    meta["coverage"] = round(services().coverage.known(first.generation).share, 4)
    is_short = any(len(answer.items) < query.limit for answer in found)
    return meta | said_of_attributes(query.where, is_short=is_short)


def _tried_in_batch(body: SimilarBatchBody, asker: Asker) -> tuple[int | None, ShopperSplit]:
    """Return the generation that the shopper's arm gets: in a batch that names another, none."""
    tried, split = tried_generation(asker.split)
    if tried is not None and body.generation not in {None, tried.id}:
        return None, without_generation(split)
    return tried.id if tried else None, split


class _Read(NamedTuple):
    """What a query string asks for."""

    query: Query
    fields: list[str]
    cursor: str | None
    asker: Asker


def _read_asked() -> _Read:
    """Read the query string of this request, unless it was read before."""
    if (known := recall(_Read)) is not None:
        return known
    reader = QueryReader.of_request()
    image = reader.integer_or_none("image", least=1, most=MOST_IMAGES)
    cursor, asker = reader.text("cursor"), asker_of(reader)
    query, fields = read_query(reader, filterable(), place=asker.place)
    read = _Read(replace(query, image=image), fields, cursor, asker)
    remember(read, reader, is_general=not asker.is_known)
    return read


def _problem(sku: str, error: LookalikeError, named: set[str]) -> Json:
    problem = to_request_error(error)
    return {"sku": sku, "status": problem.status, "problem": problem.document(named)}


def _by_json() -> Json:
    body, reader = read_body(SimilarBody), QueryReader.of_request()
    cursor = reader.text("cursor")
    if cursor is not None and body.cursor is not None:
        reader.refuse("cursor", "the body has it too")
    if body.image_uri is not None and (cursor or body.cursor):
        reader.refuse("cursor", TWICE)
    asker = asker_of(reader, user=body.user, visit=body.session, placement=body.placement)
    query, fields = read_both(body, reader, filterable(), place=asker.place)
    cursor = cursor if body.cursor is None else body.cursor
    if body.sku is not None:
        return by_sku(body.sku, query, fields, cursor, asker=asker)
    if body.image_uri is not None and cursor is None:
        return by_address(body.image_uri, query, fields, asker)
    return by_text(query, fields, cursor, asker=asker)


def _by_file() -> Json:
    """Answer a request whose body is an image, or which has the cursor of one."""
    reader = QueryReader.of_request()
    cursor = reader.text("cursor")
    image = request.get_data(cache=False)
    if cursor is not None and image:
        reader.refuse("cursor", TWICE)
    asker = asker_of(reader)
    query, fields = read_query(reader, filterable(), with_image=True, place=asker.place)
    if cursor:
        return by_text(query, fields, cursor, asker=asker)
    if image.lstrip().startswith(b"{"):
        raise NotAnImage(UNDECLARED)
    return by_image(image, query, fields, asker=asker)


def _by_form() -> Json:
    given = [*request.args.items(multi=True), *request.form.items(multi=True)]
    reader = QueryReader(MultiDict(given))
    files = list(request.files.items(multi=True))
    cursor = reader.text("cursor")
    if cursor is not None and files:
        reader.refuse("cursor", TWICE)
    if (not cursor and [name for name, _ in files] != ["image"]) or reader.take("image"):
        reader.refuse("image", "the form must hold one file, under this name")
    asker = asker_of(reader)
    query, fields = read_query(reader, filterable(), with_image=True, place=asker.place)
    if cursor:
        return by_text(query, fields, cursor, asker=asker)
    return by_image(files[0][1].read(), query, fields, asker=asker)
