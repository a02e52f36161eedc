"""`/v1/products/{sku}/together`: what goes with a product."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, Final, NamedTuple

from sqlalchemy import select
from sqlalchemy.orm import Session

from backend import generations
from backend.access.scope import Scope
from backend.api import openapi, parameters
from backend.api.context import filterable, services
from backend.api.cursors import continued
from backend.api.recommended_candidates import Keep
from backend.api.recommended_lists import LIST_PARAMETERS, restrict, with_restricted, write_list
from backend.api.recommended_pins import ListRequest
from backend.api.recommended_selection import Make
from backend.api.remembered import recall, remember
from backend.api.schemas import Json
from backend.api.schemas.query import QueryReader
from backend.api.schemas.recommendation import RecommendationAnswer
from backend.api.schemas.similar_requests import read_query
from backend.api.scopes import requires_scope
from backend.api.splitting import NOBODY, Asker, asker_of, tried_generation
from backend.catalogue import skus
from backend.database.models import Generation, Product
from backend.database.reader import Reader
from backend.errors import CursorExpired, LookalikeError, NotSearchable
from backend.events.answers import ListName
from backend.events.pairing import LEVELS
from backend.merchandising.rule_set import newest_change
from backend.recommendations.complementary import Category, before_looks, category_of
from backend.recommendations.listed_products import ListedProduct
from backend.recommendations.lists import List
from backend.recommendations.relations import Related
from backend.search import query_product
from backend.search.paging import Position
from backend.search.query import Query
from backend.search.query_product import QueryProduct

api = openapi.blueprint("together", tag="shoppers")

_SPLIT: Final = (parameters.FOR_USER, parameters.FOR_VISIT)

_COMPLEMENTARY: Final = parameters.one_of(
    "complementary", ["true", "false"], "only products of other sub-categories than this one"
)


@api.get(
    "/products/<sku>/together",
    operation_id="getProductsTogether",
    description="By what shoppers looked at, carted and bought together. A product of which little "
    "is known inherits what its visual neighbours go with; its looks count less and less.",
    openapi_extensions=openapi.inputs(
        parameters.SKU,
        _COMPLEMENTARY,
        parameters.RESTRICTED,
        *LIST_PARAMETERS,
        *_SPLIT,
        parameters.IF_CHANGED,
    ),
    responses={200: RecommendationAnswer, 304: openapi.UNCHANGED, **openapi.refusals(404, 410)},
)
@requires_scope(Scope.READ)
def together(sku: str) -> Json:
    """Find what goes with a product."""
    read = _read_together()
    return find_together(
        sku,
        read.query,
        read.fields,
        read.cursor,
        complementary=read.complementary,
        asker=read.asker,
    )


class _Read(NamedTuple):
    """What a query string asks for."""

    query: Query
    fields: list[str]
    cursor: str | None
    complementary: bool
    asker: Asker


def _read_together() -> _Read:
    """Read the query string of this request, unless it was read before."""
    if (known := recall(_Read)) is not None:
        return known
    reader = QueryReader.of_request()
    complementary = reader.flag("complementary")
    cursor, asker = reader.text("cursor"), asker_of(reader)
    query, fields = read_query(reader, filterable(), scored=False, place=asker.place)
    read = _Read(query, fields, cursor, complementary, asker)
    remember(read, reader, is_general=not asker.is_known)
    return read


def find_together(
    sku: str,
    query: Query,
    fields: Sequence[str],
    cursor: str | None = None,
    *,
    complementary: bool,
    asker: Asker = NOBODY,
) -> Json:
    """Return what goes with a product, as JSON; raises UnknownProduct."""
    found = services()
    with found.db.query() as reader:
        return _find_together(
            reader, sku, query, fields, cursor, complementary=complementary, asker=asker
        )


def _find_together(
    reader: Reader,
    sku: str,
    query: Query,
    fields: Sequence[str],
    cursor: str | None,
    *,
    complementary: bool,
    asker: Asker,
) -> Json:
    found, name = services(), skus.normalise(sku)
    about = (name, complementary)
    query = continued(query, cursor, *about)
    tried, split = tried_generation(asker.split)
    about_it = _read_about(reader, sku, query.exclude, tried)
    id_, generation = about_it.id, about_it.generation
    if query.after is not None and query.after.generation_id != generation.id:
        raise CursorExpired
    first = query
    query, same = restrict(reader, query, [id_])
    query = found.similar.rules.for_list(reader, query, generation, about_it.rules_version, [id_])
    related = found.together.of(reader, id_, generation, about_it.vector, exclude=about_it.excluded)
    listed = ListRequest(
        ListName.TOGETHER,
        first,
        user=asker.user,
        visit=asker.visit,
        about=about,
        split=split,
        unpinnable=frozenset([id_, *about_it.excluded]),
    )
    if complementary:
        with found.db.read() as session:
            category = category_of(session, id_)
        make, keep = _completing(about_it, category, related), _is_other(category)
        answer = write_list(reader, generation, make, query, fields, listed, keep=keep)
    else:
        made = List(chosen=related, tastes=[], skus={id_: name})
        answer = write_list(reader, generation, lambda *_: made, query, fields, listed)
    return with_restricted(answer, same)


class _About(NamedTuple):
    """What is known of the product that a list is about."""

    id: int
    excluded: list[int]  # ids of products that are left out beside it
    generation: Generation
    vector: Any  # None: it has none yet
    rules_version: int | None  # the newest change of a rule


def _completing(about: _About, category: Category, related: Related) -> Make:
    """Return what makes a list of other kinds: by acts, then categories, then looks alone."""

    def make(query: Query, shown: Collection[int]) -> List:
        def by_category() -> Sequence[ListedProduct]:
            if about.vector is None:
                return ()
            return services().complementary.of(
                about.id,
                category,
                about.generation,
                about.vector,
                where=query.where,
                exclude=[*about.excluded, *shown],
            )

        return List(chosen=(), tastes=[], rest=lambda: before_looks(related, by_category))

    return make


def _is_other(category: Category) -> Keep:
    return lambda item: category.is_other({level: getattr(item.product, level) for level in LEVELS})


def _read_about(
    reader: Reader, sku: str, exclude: Sequence[str], tried: Generation | None
) -> _About:
    """Read a product in the generation that is tried, or in the active one.

    `exclude` holds skus. Raises UnknownProduct, NoGeneration.
    """
    found = services()
    try:
        product = _read_product(reader, sku, exclude, tried)
        [id_, *excluded] = product.exclude
        vector = product.query_vector()
        return _About(id_, excluded, product.generation, vector, product.rules_version)
    except NotSearchable:
        with found.db.read() as session:
            generation = tried or generations.active(session)
            own = _ids(session, [sku])
            [id_, *excluded] = [*own, *(_ids(session, exclude) - own)]
        return _About(id_, excluded, generation, None, newest_change(reader))


def _read_product(
    reader: Reader, sku: str, exclude: Sequence[str], tried: Generation | None
) -> QueryProduct:
    active = services().similar.active
    if tried is None:
        return query_product.read_product(reader, active, sku, image=None, exclude=exclude)
    position = Position(generation_id=tried.id)
    _, [found] = query_product.read_each(reader, active, [sku], exclude=exclude, position=position)
    if isinstance(found, LookalikeError):
        raise found
    return found


def _ids(session: Session, skus: Sequence[str]) -> frozenset[int]:
    if not skus:
        return frozenset()
    return frozenset(session.scalars(select(Product.id).where(Product.sku.in_(skus))))
