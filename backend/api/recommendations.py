"""Lists for shoppers, visits and examples."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Final, NamedTuple

from backend.access.scope import Scope
from backend.api import named_examples, openapi, parameters
from backend.api.attribute_checks import check_filter
from backend.api.context import filterable, services
from backend.api.cursors import continued
from backend.api.image_examples import weights_of_skus
from backend.api.named_examples import NamedExamples
from backend.api.recommended_candidates import groups_of, taken_groups
from backend.api.recommended_lists import LIST_PARAMETERS, restrict, with_restricted, write_list
from backend.api.recommended_pins import ListRequest
from backend.api.recommended_selection import Make
from backend.api.remembered import recall, remember
from backend.api.schemas import Json
from backend.api.schemas.body import read_body
from backend.api.schemas.placement import with_placement
from backend.api.schemas.query import QueryReader
from backend.api.schemas.recommendation import (
    LeaveOut,
    RecommendationAnswer,
    RecommendationBody,
)
from backend.api.schemas.similar_requests import read_query, shows_images
from backend.api.scopes import requires_scope
from backend.api.shopper import check_shopper
from backend.api.splitting import NO_SPLIT, ShopperSplit, split_of, tried_generation
from backend.database.models import Generation, utcnow
from backend.database.reader import Reader
from backend.events.answers import ListName
from backend.recommendations import examples
from backend.recommendations.examples import NONE_NAMED, Resolved
from backend.recommendations.history import History, history_of
from backend.recommendations.lists import MOST_CANDIDATES, SPARE, List, Strategy, Wanted
from backend.search import query_product
from backend.search.collecting import GROWTH
from backend.search.query import Query
from backend.search.reordering import POOL_TIMES

api = openapi.blueprint("recommendations", tag="shoppers")

_LEAVE_OUT: Final = parameters.one_of(
    "leave_out", list(LeaveOut), "which products of the shopper's history are left out"
)
_STRATEGY: Final = parameters.one_of("strategy", list(Strategy), "how examples become queries")


@api.post(
    "/recommendations",
    operation_id="recommendProducts",
    description="For a shopper, a visit, or named examples, in any combination. Several tastes get "
    "their shares of the list. A shopper of whom nothing is known gets what is popular and new. "
    "Images of pending products are embedded for the request, up to five with those that are "
    "named by their address. "
    "Examples that cannot be used are listed in `unresolved`, images in `unresolved_images`.",
    openapi_extensions=openapi.inputs(body=RecommendationBody),
    responses={200: RecommendationAnswer, **openapi.refusals(400, 410, 413, 415, 503)},
)
@requires_scope(Scope.READ)
def recommend() -> Json:
    """Recommend products."""
    QueryReader.of_request().finish()
    body = read_body(RecommendationBody)
    check_filter(body.filter)
    query = Query(
        limit=body.limit,
        where=body.filter,
        schema=filterable(),
        exclude=body.exclude,
        shows_images=shows_images(body.fields),
        explain=body.explain,
        shaping=body.shaping,
    )
    split = split_of(body.placement, body.user or body.session)
    query = with_placement(query, split.placement, body.model_fields_set)
    return recommend_by(body, query, body.fields, body.cursor, split=split)


@api.get(
    "/users/<user>/recommendations",
    operation_id="getUserRecommendations",
    description="From what the shopper did lately: newer and stronger acts count more, returns "
    "and dislikes speak against. `POST /v1/recommendations` takes a visit and examples too.",
    openapi_extensions=openapi.inputs(
        parameters.USER, _STRATEGY, _LEAVE_OUT, parameters.RESTRICTED, *LIST_PARAMETERS
    ),
    responses={200: RecommendationAnswer, **openapi.refusals(410)},
)
@requires_scope(Scope.READ)
def recommend_to_user(user: str) -> Json:
    """Recommend products to a shopper."""
    user = check_shopper(user)
    read, split = _read_asked(user)
    body = RecommendationBody(user=user, strategy=read.strategy, leave_out=read.leave_out)
    return recommend_by(body, read.query, read.fields, read.cursor, split=split)


class _Read(NamedTuple):
    """What a query string asks for."""

    query: Query
    fields: list[str]
    cursor: str | None
    strategy: Strategy
    leave_out: LeaveOut


def _read_asked(user: str) -> tuple[_Read, ShopperSplit]:
    """Read the query string of this request, unless it was read before.

    One that names a placement may mean something else for each shopper.
    """
    if (known := recall(_Read)) is not None:
        return known, split_of(None, user)
    reader = QueryReader.of_request()
    strategy = reader.choice("strategy", list(Strategy), default=Strategy.CLUSTERS)
    leave_out = reader.choice("leave_out", list(LeaveOut), default=LeaveOut.BOUGHT)
    cursor, placement = reader.text("cursor"), reader.text("placement")
    split = split_of(placement, user)
    query, fields = read_query(reader, filterable(), scored=False, place=lambda _: split.placement)
    read = _Read(query, fields, cursor, strategy, leave_out)
    remember(read, reader, is_general=placement is None)
    return read, split


def recommend_by(
    body: RecommendationBody,
    query: Query,
    fields: Sequence[str],
    cursor: str | None = None,
    *,
    split: ShopperSplit = NO_SPLIT,
) -> Json:
    """Return the list for the shopper, the visit and the examples of a body, as JSON."""
    found = services()
    about = (
        *(body.user, body.session, repr(body.positive), repr(body.negative)),
        *(body.strategy, body.leave_out, body.explore),
    )
    query = continued(query, cursor, *about)
    known = _read_known(body, query, split)
    generation, liked = known.generation, [it.product_id for it in known.history.likes]
    first = query
    with found.db.query() as reader:
        query, same = restrict(reader, query, liked)
        query = found.similar.rules.for_list(reader, query, generation, known.rules_version, liked)
        wanted = _wanted(body, query, known)
        listed = ListRequest(
            ListName.USER if body.user else ListName.VISIT,
            first,
            user=body.user,
            visit=body.session,
            about=about,
            unpinnable=wanted.exclude.union(it.product_id for it in known.history.examples),
            split=known.split,
        )
        make, unresolved = _making(reader, generation, wanted), known.given.unresolved
        answer = write_list(reader, generation, make, query, fields, listed, unresolved=unresolved)
    if known.given.unresolved_images is not None:
        answer["unresolved_images"] = known.given.unresolved_images
    return with_restricted(answer, same)


class _Known(NamedTuple):
    """What is known of the shopper, the visit and the examples of a body."""

    generation: Generation
    rules_version: int | None  # the newest change of a rule
    excluded: Collection[int]  # products that the query leaves out
    given: NamedExamples
    history: History  # with the examples
    split: ShopperSplit  # as it is after the generation was chosen
    at: datetime


def _read_known(body: RecommendationBody, query: Query, split: ShopperSplit) -> _Known:
    """Read what is known. Raises NoExample where examples are named and none can be used."""
    found, now = services(), utcnow()  # a few minutes do not matter
    with found.db.query() as reader:
        active, excluded, rules_version = query_product.read_others(
            reader, found.similar.active, query.exclude, query.after
        )
        history = history_of(reader, user=body.user, visit=body.session, now=now)
    tried, split = tried_generation(split)
    generation = tried or active
    given = named_examples.embed(generation, body, _resolve(generation, body))
    whole = examples.together_with(history, given.examples)
    if not whole.likes and body.positive:
        given.check_usable()
    return _Known(generation, rules_version, excluded, given, whole, split, now)


def _wanted(body: RecommendationBody, query: Query, known: _Known) -> Wanted:
    """Return what the recommender is asked for."""
    return Wanted(
        history=known.history,
        limit=query.limit,
        spare=POOL_TIMES if query.shaping.reorders else SPARE,
        strategy=body.strategy,
        where=query.where,
        exclude=_left_out(known.history, body.leave_out).union(known.excluded),
        explore=body.explore,
        seed=body.user or body.session or "",
        now=known.at,
        vectors=known.given.vectors,
    )


def _making(reader: Reader, generation: Generation, wanted: Wanted) -> Make:
    """Return what makes the list for a filter, without the products that are shown."""

    def make(query: Query, shown: Collection[int]) -> List:
        exclude = wanted.exclude.union(shown)
        each = replace(wanted, where=query.where, exclude=exclude)
        return _grouped(reader, generation, each, query)

    return make


def _resolve(generation: Generation, body: RecommendationBody) -> Resolved:
    """Find the products that a body names as examples."""
    positive, negative = weights_of_skus(body.positive), weights_of_skus(body.negative)
    if not positive and not negative:
        return NONE_NAMED
    with services().db.read() as session:
        return examples.resolve(session, generation, positive, negative)


def _grouped(reader: Reader, generation: Generation, wanted: Wanted, query: Query) -> List:
    """Make a list; where it is grouped, with more candidates until they have enough groups."""
    made = services().recommender.recommend(reader, generation, wanted)
    if query.shaping.group_by is None:
        return made
    candidates, taken = -1, taken_groups(reader, query)
    while True:
        related = made.product_ids
        is_last = len(related) <= candidates or wanted.candidates >= MOST_CANDIDATES
        if is_last or _count_groups(groups_of(reader, related, query), taken) >= query.limit:
            return made
        candidates = len(related)
        wanted = replace(wanted, spare=wanted.spare * GROWTH)
        made = services().recommender.recommend(reader, generation, wanted)


def _count_groups(values: Sequence[Any], taken: Collection[Any]) -> int:
    return len({it for it in values if it is not None}.difference(taken)) + values.count(None)


def _left_out(history: History, leave_out: LeaveOut) -> frozenset[int]:
    if leave_out is LeaveOut.SEEN:
        return history.seen | history.bought
    return history.bought if leave_out is LeaveOut.BOUGHT else frozenset()
