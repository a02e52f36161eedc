"""`/v1/trending` and `/v1/new-products`: lists that are about no product and no shopper."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Final

from backend.access.scope import Scope
from backend.api import openapi, parameters
from backend.api.context import filterable, services
from backend.api.cursors import continued
from backend.api.recommended_candidates import shown_before
from backend.api.recommended_lists import LIST_PARAMETERS, write_list
from backend.api.recommended_pins import ListRequest
from backend.api.schemas import Json
from backend.api.schemas.query import QueryReader
from backend.api.schemas.recommendation import RecommendationAnswer
from backend.api.schemas.similar_requests import read_query
from backend.api.scopes import requires_scope
from backend.api.splitting import asker_of, without_generation
from backend.database.models import utcnow
from backend.database.reader import Reader
from backend.events.answers import ListName
from backend.recommendations import popularity
from backend.recommendations.listed_products import ListedProduct, Reason
from backend.recommendations.lists import List
from backend.search import query_product
from backend.search.query import MAX_LIMIT
from backend.search.shaping import Shaping

api = openapi.blueprint("trending", tag="shoppers")

_SPLIT: Final = (parameters.FOR_USER, parameters.FOR_VISIT)


@api.get(
    "/trending",
    operation_id="listTrendingProducts",
    description="What shoppers do most at the moment: an act counts half after two days. Filters "
    "make it the trend of a category.",
    openapi_extensions=openapi.inputs(*LIST_PARAMETERS, *_SPLIT, parameters.IF_CHANGED),
    responses={200: RecommendationAnswer, 304: openapi.UNCHANGED, **openapi.refusals(410)},
)
@requires_scope(Scope.READ)
def list_trending() -> Json:
    """List what is trending."""
    return _write(
        ListName.TRENDING,
        lambda reader, now, many: [
            ListedProduct(it.product_id, it.score, Reason.TRENDING)
            for it in popularity.trending(reader, now=now, limit=many)
        ],
    )


@api.get(
    "/new-products",
    operation_id="listNewProducts",
    description="The products of the last thirty days, the newest first.",
    openapi_extensions=openapi.inputs(*LIST_PARAMETERS, *_SPLIT, parameters.IF_CHANGED),
    responses={200: RecommendationAnswer, 304: openapi.UNCHANGED, **openapi.refusals(410)},
)
@requires_scope(Scope.READ)
def list_new() -> Json:
    """List what is new."""
    return _write(
        ListName.NEW,
        lambda reader, now, many: [
            ListedProduct(product, 0.0, Reason.NEW)
            for product, _ in popularity.newest(reader, now=now, limit=many)
        ],
    )


def _write(name: ListName, choose: Callable[[Reader, datetime, int], list[ListedProduct]]) -> Json:
    reader = QueryReader.of_request()
    cursor, asker = reader.text("cursor"), asker_of(reader)
    query, fields = read_query(
        reader, filterable(), scored=False, compared=False, place=asker.place
    )
    query = continued(query, cursor, name)
    first = query
    found = services()
    with found.db.query() as connection:
        generation, others, rules = query_product.read_others(
            connection, found.similar.active, query.exclude, query.after
        )
        query = found.similar.rules.for_list(connection, query, generation, rules)
        excluded = frozenset(others)
        is_short = query.where or query.shaping != Shaping() or query.ruling.rules
        before = len(shown_before(query))
        many = 20 * MAX_LIMIT if is_short else query.limit + len(excluded) + before
        chosen = choose(connection, _this_minute(), many)
        chosen = [it for it in chosen if it.product_id not in excluded]
        made = List(chosen=chosen, tastes=[])
        listed = ListRequest(
            name,
            first,
            user=asker.user,
            visit=asker.visit,
            about=(name,),
            split=without_generation(asker.split),  # these lists are the same in each
            unpinnable=excluded,
        )
        return write_list(connection, generation, lambda *_: made, query, fields, listed)


def _this_minute() -> datetime:
    """Return when this minute began: scores fall all the time, and a tag shall hold for a while."""
    return utcnow().replace(second=0, microsecond=0)
