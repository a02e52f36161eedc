"""Lists for shoppers, visits and examples, what goes with a product, what is trending and new."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import islice
from types import MappingProxyType
from typing import Any, Final, TypeAlias

from flask import g
from sqlalchemy import select
from sqlalchemy.orm import Session

from backend import generations
from backend.access.scope import Scope
from backend.api import image_examples, openapi, parameters
from backend.api.context import filterable, services
from backend.api.cursors import continued, write_cursor
from backend.api.image_examples import weights_of_skus
from backend.api.replay import note_answer
from backend.api.request_log import took_ms
from backend.api.schemas import Json
from backend.api.schemas.body import read_body
from backend.api.schemas.placement import with_placement
from backend.api.schemas.query import QueryReader
from backend.api.schemas.recommendation import (
    LeaveOut,
    RecommendationAnswer,
    RecommendationBody,
)
from backend.api.schemas.similar_items import (
    product_of_item,
    read_query,
    rules_of_item,
    shaped_members,
    shows_images,
)
from backend.api.schemas.written_products import ProductWriter
from backend.api.scopes import requires_scope
from backend.api.splitting import Split, split_of
from backend.catalogue import skus
from backend.database import clock
from backend.database.models import LIVE, Generation, Product, utcnow
from backend.errors import CursorExpired, NoExample, NotSearchable
from backend.events.answers import LONGEST_ID, ListName
from backend.events.pairing import LEVELS
from backend.events.record import MOST_TEXT
from backend.filters import Where
from backend.filters.matching import ValueOf, matcher
from backend.merchandising.rule_set import Rule
from backend.recommendations import examples, popularity
from backend.recommendations.chosen import Because, Chosen, Reason
from backend.recommendations.complementary import Category, before_looks, category_of
from backend.recommendations.history import History, history_of
from backend.recommendations.recommend import MOST_CANDIDATES, SPARE, List, Strategy, Wanted
from backend.recommendations.relations import Related
from backend.search import asked, query_vectors, statements
from backend.search.collecting import GROWTH
from backend.search.found import Neighbour, neighbours, read_rows
from backend.search.grouping import with_sizes
from backend.search.paging import Position
from backend.search.pinning import Candidates, Pinning, with_pins
from backend.search.reordering import POOL_TIMES, pool_of, reordered
from backend.search.restricting import Same, read_values, restricted
from backend.search.shaping import Shaping, has_clause
from backend.search.similar import MAX_LIMIT, Query
from backend.vectors import Hit

READ_AT_ONCE: Final = 2 * MAX_LIMIT

api = openapi.blueprint("recommendations", tag="shoppers")

_COMPLEMENTARY: Final = parameters.one_of(
    "complementary", ["true", "false"], "only products of other sub-categories than this one"
)
_LEAVE_OUT: Final = parameters.one_of("leave_out", list(LeaveOut), "of the shopper's history")
_STRATEGY: Final = parameters.one_of("strategy", list(Strategy), "how examples become queries")
_LIST: Final = (
    parameters.limit(),
    parameters.LIST_CURSOR,
    parameters.EXCLUDE,
    parameters.FIELDS,
    parameters.EXPLAINED,
    *parameters.SHAPED,
    *parameters.FILTERS,
)


@api.post(
    "/recommendations",
    operation_id="recommendProducts",
    description="For a shopper, a visit, or named examples, in any combination. Several tastes get "
    "their shares of the list. Of whom nothing is known, gets what is popular and new. Examples "
    "that cannot be used are listed in `unresolved`, images in `unresolved_images`.",
    openapi_extensions=openapi.inputs(body=RecommendationBody),
    responses={200: RecommendationAnswer, **openapi.refusals(400, 410, 413, 415, 503)},
)
@requires_scope(Scope.READ)
def recommend() -> Json:
    """Recommend products."""
    QueryReader.of_request().finish()
    body = read_body(RecommendationBody)
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
    description="By what the shopper did lately: newer acts and dearer ones count more, returns "
    "and dislikes speak against. `POST /v1/recommendations` takes a visit and examples too.",
    openapi_extensions=openapi.inputs(
        parameters.USER, _STRATEGY, _LEAVE_OUT, parameters.RESTRICTED, *_LIST
    ),
    responses={200: RecommendationAnswer, **openapi.refusals(410)},
)
@requires_scope(Scope.READ)
def recommend_to_user(user: str) -> Json:
    """Recommend products to a shopper."""
    reader = QueryReader.of_request()
    strategy = reader.choice("strategy", list(Strategy), default=Strategy.CLUSTERS)
    leave_out = reader.choice("leave_out", list(LeaveOut), default=LeaveOut.BOUGHT)
    cursor = reader.text("cursor")
    body = RecommendationBody(user=user[:MOST_TEXT], strategy=strategy, leave_out=leave_out)
    split = split_of(reader.text("placement"), body.user)
    query, fields = read_query(reader, filterable(), scored=False, place=lambda _: split.placement)
    return recommend_by(body, query, fields, cursor, split=split)


def recommend_by(
    body: RecommendationBody,
    query: Query,
    fields: Sequence[str],
    cursor: str | None = None,
    *,
    split: Split | None = None,
) -> Json:
    """Return the list for the shopper, the visit and the examples of a body, as JSON."""
    found = services()
    about = (
        *(body.user, body.session, repr(body.positive), repr(body.negative)),
        *(body.strategy, body.leave_out, body.explore),
    )
    query = continued(query, cursor, *about)
    with found.db.query() as connection:
        generation, others, _ = asked.read_others(
            connection, found.similar.active, query.exclude, query.after
        )
    with found.db.read() as session:
        generation, split = _tried(session, generation, split or Split())
        now = clock.now(session)
        history = history_of(session, user=body.user, visit=body.session, now=now)
        named = examples.resolve(
            session, generation, weights_of_skus(body.positive), weights_of_skus(body.negative)
        )
    images = image_examples.embed(generation, body)
    whole = examples.together_with(history, [*named.examples, *images.examples])
    unusable = [*named.unresolved, *(it["image_uri"] for it in images.unresolved)]
    if unusable and not whole.likes and body.positive:
        raise NoExample(f"none of the examples can be used: {', '.join(unusable)[:500]}")
    first, liked = query, [it.product_id for it in whole.likes]
    query, same = _restrict(query, liked)
    query = found.similar.ruled(generation, query, liked)
    wanted = Wanted(
        history=whole,
        limit=query.limit,
        spare=POOL_TIMES if query.shaping.reorders else SPARE,
        strategy=body.strategy,
        where=query.where,
        exclude=_left_out(whole, body.leave_out).union(others),
        explore=body.explore,
        seed=body.user or body.session or "",
        now=now,
        vectors=images.vectors,
    )

    def make(query: Query, shown: Collection[int]) -> List:
        exclude = wanted.exclude.union(shown)
        return _grouped(generation, replace(wanted, where=query.where, exclude=exclude), query)

    name = ListName.USER if body.user else ListName.VISIT
    unpinnable = wanted.exclude.union(it.product_id for it in whole.examples)
    listed = _Listed(
        name,
        first,
        user=body.user,
        visit=body.session,
        about=about,
        unpinnable=unpinnable,
        split=split,
    )
    answer = _written(generation, make, query, fields, listed, unresolved=named.unresolved)
    if images.vectors or images.unresolved:
        answer["unresolved_images"] = images.unresolved
    return _with_restricted(answer, same)


def _tried(session: Session, generation: Generation, split: Split) -> tuple[Generation, Split]:
    """Return the generation that a shopper's arm gets; if it is gone, there is no experiment."""
    if split.generation_id is None or split.generation_id == generation.id:
        return generation, split
    found = session.get(Generation, split.generation_id)
    if found is None or found.state not in LIVE:
        return generation, replace(split, experiment=None, arm=None)
    return found, split


def _generation(session: Session, query: Query) -> Generation:
    """Return the active generation, for a further page that of the first one."""
    if query.after is None:
        return generations.active(session)
    found = session.get(Generation, query.after.generation_id)
    if found is None or found.state not in LIVE:
        raise CursorExpired
    return found


def _restrict(query: Query, ids: Sequence[int]) -> tuple[Query, Same]:
    """Return the query with the filter for products like these, and what that demands."""
    fields = query.shaping.restrict
    if not fields:
        return query, {}
    with services().db.query() as connection:
        same = read_values(connection, ids, fields)
    return replace(query, where=restricted(query.where, same)), same


def _with_restricted(answer: Json, same: Same) -> Json:
    if same:
        answer["meta"]["restricted"] = {field: list(values) for field, values in same.items()}
    return answer


def _grouped(generation: Generation, wanted: Wanted, query: Query) -> List:
    """Make a list; where it is grouped, with more candidates until they have enough groups."""
    made = services().recommender.recommend(generation, wanted)
    if query.shaping.group_by is None:
        return made
    candidates, taken = -1, _taken_groups(query)
    while True:
        related = [it.product_id for it in made.chosen]
        is_last = len(related) <= candidates or wanted.candidates >= MOST_CANDIDATES
        if is_last or _count_groups(related, query, taken) >= query.limit:
            return made
        candidates = len(related)
        wanted = replace(wanted, spare=wanted.spare * GROWTH)
        made = services().recommender.recommend(generation, wanted)


def _count_groups(ids: Collection[int], query: Query, taken: Collection[Any]) -> int:
    values = _groups(ids, query)
    return len({it for it in values if it is not None}.difference(taken)) + values.count(None)


def _groups(ids: Collection[int], query: Query) -> list[Any]:
    """Return the groups of some products, in any order; None for each that has none."""
    with services().db.query() as connection:
        rows = connection.execute(statements.values(), {"ids": list(ids)}).mappings().all()
    return [row[str(query.shaping.group_by)] for row in rows]


def _taken_groups(query: Query) -> frozenset[Any]:
    """Return the groups that former pages have shown."""
    if query.after is None or query.shaping.group_by is None:
        return frozenset()
    return frozenset(_groups(query.after.shown, query)) - {None}


def _left_out(history: History, leave_out: LeaveOut) -> frozenset[int]:
    if leave_out is LeaveOut.SEEN:
        return history.seen | history.bought
    return history.bought if leave_out is LeaveOut.BOUGHT else frozenset()


def _ids(session: Session, skus: Sequence[str]) -> frozenset[int]:
    if not skus:
        return frozenset()
    return frozenset(session.scalars(select(Product.id).where(Product.sku.in_(skus))))


@api.get(
    "/products/<sku>/together",
    operation_id="getProductsTogether",
    description="By what shoppers looked at, carted and bought together. A product of which little "
    "is known inherits what its visual neighbours go with; its looks count less and less.",
    openapi_extensions=openapi.inputs(
        parameters.SKU, _COMPLEMENTARY, parameters.RESTRICTED, *_LIST
    ),
    responses={200: RecommendationAnswer, **openapi.refusals(404, 410)},
)
@requires_scope(Scope.READ)
def together(sku: str) -> Json:
    """Find what goes with a product."""
    reader = QueryReader.of_request()
    complementary = reader.flag("complementary")
    cursor = reader.text("cursor")
    query, fields = read_query(reader, filterable(), scored=False)
    return find_together(sku, query, fields, cursor, complementary=complementary)


def find_together(
    sku: str,
    query: Query,
    fields: Sequence[str],
    cursor: str | None = None,
    *,
    complementary: bool,
) -> Json:
    """Return what goes with a product, as JSON; raises UnknownProduct."""
    found = services()
    about = (skus.normalise(sku), complementary)
    query = continued(query, cursor, *about)
    product, generation, vector = _asked(sku, query.exclude)
    if query.after is not None and query.after.generation_id != generation.id:
        raise CursorExpired
    first = query
    query, same = _restrict(query, product[:1])
    query = found.similar.ruled(generation, query, product[:1])
    related = found.together.of(product[0], generation, vector, exclude=product[1:])
    listed = _Listed(ListName.TOGETHER, first, about=about, unpinnable=frozenset(product))
    if not complementary:
        answer = _written(
            generation, lambda *_: List(chosen=related, tastes=[]), query, fields, listed
        )
        return _with_restricted(answer, same)
    with found.db.read() as session:
        category = category_of(session, product[0])

    def make(query: Query, shown: Collection[int]) -> List:
        exclude = [*product[1:], *shown]
        return _completed(product[0], category, generation, vector, query.where, exclude, related)

    answer = _written(generation, make, query, fields, listed, keep=_is_other(category))
    return _with_restricted(answer, same)


def _completed(
    product_id: int,
    category: Category,
    generation: Generation,
    vector: Any,
    where: Where,
    exclude: Sequence[int],
    related: Related,
) -> List:
    """Return what completes a product: by acts, then by categories, then by looks alone."""

    def by_category() -> Sequence[Chosen]:
        if vector is None:
            return ()
        return services().complementary.of(
            product_id, category, generation, vector, where=where, exclude=exclude
        )

    return List(chosen=(), tastes=[], rest=lambda: before_looks(related, by_category))


def _is_other(category: Category) -> Callable[[Neighbour], bool]:
    return lambda item: category.is_other({level: getattr(item.product, level) for level in LEVELS})


def _asked(sku: str, exclude: Sequence[str]) -> tuple[list[int], Generation, Any]:
    """Return the ids of the product and of those to exclude, the generation, and the vector."""
    found = services()
    try:
        with found.db.query() as connection:
            product = asked.read_product(
                connection, found.similar.active, sku, image=None, exclude=exclude
            )
        return product.exclude, product.generation, query_vectors.vector_of(product)
    except NotSearchable:
        with found.db.read() as session:
            generation = generations.active(session)
            own = _ids(session, [sku])
            return [*own, *(_ids(session, exclude) - own)], generation, None


@api.get(
    "/trending",
    operation_id="listTrendingProducts",
    description="What shoppers do most at the moment: an act counts half after two days. Filters "
    "make it the trend of a category.",
    openapi_extensions=openapi.inputs(*_LIST),
    responses={200: RecommendationAnswer, **openapi.refusals(410)},
)
@requires_scope(Scope.READ)
def list_trending() -> Json:
    """List what is trending."""
    return _list(
        ListName.TRENDING,
        lambda session, now, many: [
            Chosen(it.product_id, it.score, Reason.TRENDING)
            for it in popularity.trending(session, now=now, limit=many)
        ],
    )


@api.get(
    "/new-products",
    operation_id="listNewProducts",
    description="The products of the last thirty days, the newest first.",
    openapi_extensions=openapi.inputs(*_LIST),
    responses={200: RecommendationAnswer, **openapi.refusals(410)},
)
@requires_scope(Scope.READ)
def list_new() -> Json:
    """List what is new."""
    return _list(
        ListName.NEW,
        lambda session, now, many: [
            Chosen(product, 0.0, Reason.NEW)
            for product, _ in popularity.newest(session, now=now, limit=many)
        ],
    )


def _list(name: ListName, choose: Callable[[Session, Any, int], list[Chosen]]) -> Json:
    reader = QueryReader.of_request()
    cursor = reader.text("cursor")
    query, fields = read_query(reader, filterable(), scored=False, compared=False)
    query = continued(query, cursor, name)
    first = query
    with services().db.read() as session:
        generation = _generation(session, query)
    query = services().similar.ruled(generation, query, ())
    with services().db.read() as session:
        excluded = _ids(session, query.exclude)
        is_short = query.where or query.shaping != Shaping() or query.ruling.rules
        before = len(_shown_before(query))
        many = 20 * MAX_LIMIT if is_short else query.limit + len(excluded) + before
        chosen = choose(session, clock.now(session), many)
    chosen = [it for it in chosen if it.product_id not in excluded]
    made = List(chosen=chosen, tastes=[])
    listed = _Listed(name, first, about=(name,), unpinnable=excluded)
    return _written(generation, lambda *_: made, query, fields, listed)


# --- answers -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Listed:
    """Which list an answer is, and for whom; `asked` and `about` are what its cursors hold for.

    `unpinnable` are products that no rule can pin: those that the list leaves out.
    """

    name: ListName
    asked: Query
    user: str | None = None
    visit: str | None = None
    about: tuple[object, ...] = ()
    split: Split = field(default_factory=Split)
    unpinnable: frozenset[int] = frozenset()


_REASONS: Final = {
    ListName.TRENDING: Reason.TRENDING,
    ListName.NEW: Reason.NEW,
    ListName.TOGETHER: Reason.TOGETHER,
}
"""The reason of a pinned product that is no candidate of a list; else POPULAR. Clients know these
reasons: a new one would break those that were generated before."""

MOST_LOOKED_AT: Final = 1_000
"""Candidates among which a rule with a filter finds the product that it pins."""


@dataclass(frozen=True)
class _Shown:
    chosen: Chosen
    item: Neighbour


Make: TypeAlias = Callable[[Query, Collection[int]], List]
"""Makes the list of a query, without the products that are shown already."""


def _written(
    generation: Generation,
    make: Make,
    query: Query,
    fields: Collection[str],
    listed: _Listed,
    *,
    unresolved: Mapping[str, str] = MappingProxyType({}),
    keep: Callable[[Neighbour], bool] | None = None,
) -> Json:
    """Return the first products of a list that pass the filter now, as JSON."""
    former = _shown_before(query)
    made, keep = make(query, former), _visible(query, _further(query, keep))
    pins = _pins(generation, made, query, listed, keep)
    pinned = list(pins.values())
    passing = _passing(generation, made.candidates(), query, keep)
    shown = _first(generation, passing, query, pinned)
    relaxed, dropped = query, list[str]()
    for clause in query.shaping.relax:
        before = [*pinned, *shown]
        if len(before) < query.limit and has_clause(relaxed.where, None, clause):
            dropped.append(clause)
            where = {field: it for field, it in relaxed.where.items() if field != clause}
            relaxed = replace(relaxed, where=where)
            ids = former.union(one.item.product.id for one in before)
            more = make(relaxed, ids).candidates()
            passing = _passing(generation, more, relaxed, keep)
            shown += _first(generation, passing, relaxed, before, dropped=dropped)
    shown = with_pins(pins, shown, query.limit)
    named = {it.product_id for one in shown for it in one.chosen.because}
    named |= {product for _, members in made.tastes for product in members}
    names = {one.item.product.id: one.item.product.sku for one in shown}
    names |= _skus(named - names.keys())
    writer = ProductWriter(fields)
    answer: Json = {
        "items": [_item(one, names, writer, explain=query.explain) for one in shown],
        "next_cursor": _next_cursor(generation, query, shown, listed),
        "recommendation_id": g.request_id[:LONGEST_ID],
        "generation": generation.id,
        "request_id": g.request_id,
        "unresolved": [{"sku": sku, "state": it} for sku, it in unresolved.items()],
        "meta": {
            "tastes": [
                {"share": round(share, 4), "skus": [names[it] for it in members if it in names]}
                for share, members in made.tastes
            ],
            "took_ms": took_ms(),
            **({"relaxed": dropped} if query.shaping.relax else {}),
            **({"placement": asdict(query.placement)} if query.placement else {}),
            **listed.split.shown(),
            **_said_of_rules(query, shown),
        },
    }
    split = listed.split
    if split.named is None and query.placement is not None:
        split = replace(split, named=query.placement.name)
    chosen = [one.chosen for one in shown]
    note_answer(answer, listed.name, chosen, user=listed.user, visit=listed.visit, split=split)
    return answer


def _said_of_rules(query: Query, shown: Sequence[_Shown]) -> Json:
    if not query.explain:
        return {}
    return {"rules": query.ruling.described([one.item for one in shown])}


def _visible(
    query: Query, keep: Callable[[Neighbour], bool] | None
) -> Callable[[Neighbour], bool] | None:
    """Return what tells whether a product is wanted, and no rule hides it."""
    if not query.ruling.hides_any:
        return keep
    return lambda item: (keep is None or keep(item)) and not query.ruling.hides(item)


def _pins(
    generation: Generation,
    made: List,
    query: Query,
    listed: _Listed,
    keep: Callable[[Neighbour], bool] | None,
) -> dict[int, _Shown]:
    """Return the pinned products of a list, by their positions."""
    if not query.ruling.pins:
        return {}
    passes = matcher(query.where, query.schema) if query.where else None

    def is_wanted(value_of: ValueOf) -> bool:
        return passes is None or passes(value_of)

    def find(rule: Rule, pinning: Pinning) -> Neighbour | None:
        passing = _passing(generation, made.candidates(), query, keep)
        items = (one.item for one in islice(passing, MOST_LOOKED_AT))
        return next((it for it in items if rule.matches(it.value_of) and pinning.takes(it)), None)

    index = services().indexes.of(generation)
    with services().db.query() as connection:
        pinning = Pinning(
            ruling=query.ruling,
            candidates=Candidates(connection, index, generation, images=query.shows_images),
            weighed=None,
            passes=is_wanted,
            keeps=keep,
            excluded={*listed.unpinnable, *_shown_before(query)},
            limit=query.limit,
            offset=len(_shown_before(query)),
            group_by=query.shaping.group_by,
            groups=list(_taken_groups(query)),
            find=find,
        )
        pins = pinning.run()
    chosen = {it.product_id: it for it in made.chosen}
    reason = _REASONS.get(listed.name, Reason.POPULAR)
    items = list(pins.values())
    if query.shaping.group_by:
        several = bool(generation.most_images)
        items = with_sizes(index, items, query.shaping.group_by, query.where, several=several)
    return {
        position: _Shown(chosen.get(it.product.id) or Chosen(it.product.id, 0.0, reason), it)
        for position, it in zip(pins, items, strict=True)
    }


def _shown_before(query: Query) -> frozenset[int]:
    return query.after.shown if query.after else frozenset()


def _further(
    query: Query, keep: Callable[[Neighbour], bool] | None
) -> Callable[[Neighbour], bool] | None:
    """Return what tells whether a product is wanted, and no former page has shown its group."""
    if query.after is None:
        return keep
    shown, groups, group_by = query.after.shown, _taken_groups(query), query.shaping.group_by

    def is_further(item: Neighbour) -> bool:
        if item.product.id in shown or (group_by and item.value_of(group_by) in groups):
            return False
        return keep is None or keep(item)

    return is_further


def _next_cursor(
    generation: Generation, query: Query, shown: Sequence[_Shown], listed: _Listed
) -> str | None:
    if len(shown) < query.limit:
        return None
    position = query.after or Position(generation_id=generation.id)
    ids = [one.item.product.id for one in shown]
    return write_cursor(position.after(ids), listed.asked, *listed.about)


def _first(
    generation: Generation,
    passing: Iterator[_Shown],
    query: Query,
    before: Sequence[_Shown],
    *,
    dropped: Sequence[str] = (),
) -> list[_Shown]:
    """Return the products of a list that follow those shown before, the first of each group.

    For the order by boosts and diversity the place counts, since scores of different reasons cannot
    be compared: from 1 for the first candidate, falling evenly to 0.
    """
    limit, pool = query.limit - len(before), pool_of(query.limit, query.shaping)
    groups = {_group_of(one, query) for one in before} - {None}
    shown = {one.item.product.id for one in before}
    candidates = []
    for one in passing:
        group = _group_of(one, query)
        if one.item.product.id not in shown and (group is None or group not in groups):
            groups.add(group)
            candidates.append(one)
        if len(candidates) >= (pool if query.shaping.reorders else limit):
            break
    index = services().indexes.of(generation)
    items = [replace(one.item, relaxed=tuple(dropped)) for one in candidates]
    items = query.ruling.weighed(items)
    places = [1 - at / pool for at in range(len(items))]
    ordered = reordered(index, items, places, query.shaping, limit=limit, now=utcnow())
    items = [item for _, item in ordered]
    if group_by := query.shaping.group_by:
        several = bool(generation.most_images)
        items = with_sizes(index, items, group_by, query.where, several=several)
    chosen = [candidates[at] for at, _ in ordered]
    return [replace(one, item=item) for one, item in zip(chosen, items, strict=True)]


def _group_of(one: _Shown, query: Query) -> Any:
    return one.item.value_of(query.shaping.group_by) if query.shaping.group_by else None


def _passing(
    generation: Generation,
    chosen: Iterator[Chosen],
    query: Query,
    keep: Callable[[Neighbour], bool] | None,
) -> Iterator[_Shown]:
    """Yield the products of a list as SQL has them now, without those that do not pass."""
    passes = matcher(query.where, query.schema) if query.where else None
    for part in _in_parts(chosen, first=2 * pool_of(query.limit, query.shaping)):
        hits = [Hit(it.product_id, 0.0) for it in part]
        with services().db.query() as connection:
            read = read_rows(
                connection,
                generation.id,
                [it.product_id for it in part],
                images=query.shows_images,
            )
        found = neighbours(hits, read, images=query.shows_images)
        rows = {item.product.id: item for item in found}
        for one in part:
            item = rows.get(one.product_id)
            if item is None or (passes and not passes(item.value_of)):
                continue
            if keep is None or keep(item):
                yield _Shown(one, item)


def _in_parts(chosen: Iterator[Chosen], *, first: int) -> Iterator[list[Chosen]]:
    """Yield a list in parts, each twice as long as the one before, up to READ_AT_ONCE."""
    many = min(first, READ_AT_ONCE)
    while part := list(islice(chosen, many)):
        yield part
        many = min(2 * many, READ_AT_ONCE)


def _skus(ids: Collection[int]) -> dict[int, str]:
    if not ids:
        return {}
    with services().db.query() as connection:
        return statements.read_skus(connection, ids)


def _item(one: _Shown, names: dict[int, str], writer: ProductWriter, *, explain: bool) -> Json:
    def because(it: Because) -> Json:
        return {"sku": names[it.product_id], "share": it.share}

    return {
        "sku": one.item.product.sku,
        "score": round(one.chosen.score, 6),
        "reason": one.chosen.reason.value,
        "because": [because(it) for it in one.chosen.because if it.product_id in names],
        "product": product_of_item(one.item, writer),
        **shaped_members(one.item),
        **({"explain": {"rules": rules_of_item(one.item)}} if explain else {}),
    }
