"""`/v1/facets`: which values there are to filter by, and how many products have each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from backend import generations
from backend.access.scope import Scope
from backend.api import openapi, parameters
from backend.api.attribute_checks import with_unknown_attributes
from backend.api.context import filterable, services
from backend.api.schemas import Json, pages
from backend.api.schemas.facet import FacetPage
from backend.api.schemas.query import QueryReader
from backend.api.scopes import requires_scope
from backend.filters import Where

COUNTED: Final = ("keyword", "integer", "bool")
"""The types of fields whose values can be counted; a price is a range."""

ONLY_IF_NAMED: Final = ("group_id", "link")
"""Fields with about as many values as there are products."""

MOST_VALUES: Final = 1000

api = openapi.blueprint("facets", tag="similar items")


@api.get(
    "/facets",
    description="The filter applies to every facet, its own included unless `disjunctive` is true. "
    "`group_id` and `link` are "
    "only counted where `fields` names them.",
    openapi_extensions=openapi.inputs(
        parameters.limit(default=100, most=MOST_VALUES),
        parameters.FACETS,
        parameters.DISJUNCTIVE,
        *parameters.FILTERS,
        parameters.IF_CHANGED,
    ),
    responses={200: FacetPage, 304: openapi.UNCHANGED, **openapi.refusals(503)},
)
@requires_scope(Scope.READ)
def get_facets() -> dict[str, Any]:
    """Count the searchable products by the values of each field."""
    schema = filterable()
    countable = [field for field, kind in schema.items() if kind in COUNTED]
    reader = QueryReader.of_request()
    limit = reader.integer("limit", default=100, least=1, most=MOST_VALUES)
    usual = [field for field in countable if field not in ONLY_IF_NAMED]
    wanted = reader.words_among("fields", countable) or usual
    is_disjunctive = reader.flag("disjunctive")
    where = reader.where(schema)
    reader.finish()
    items, generation_id = count(wanted, where, limit=limit, is_disjunctive=is_disjunctive)
    page = pages.as_page(items, None) | {"generation": generation_id}
    return with_unknown_attributes(page, where, is_short=True)


def count(
    fields: Sequence[str], where: Where, *, limit: int, is_disjunctive: bool
) -> tuple[list[Json], int]:
    """Count the products of each value of some fields; return them as JSON, and the generation.

    If it is disjunctive, what the filter says of a field does not count for this field.
    """
    with services().db.read() as session:
        generation = generations.active(session)
    index = services().indexes.of(generation)
    several = bool(generation.most_images)
    found = [
        (
            field,
            index.facet(
                field,
                limit=limit,
                where=_without(where, field) if is_disjunctive else where,
                several=several,
            ),
        )
        for field in fields
    ]
    items = [
        {"field": field, "values": [{"value": value, "count": many} for value, many in values]}
        for field, values in found
    ]
    return items, generation.id


def _without(where: Where, field: str) -> Where:
    """Return a filter without what it says of one field."""
    return {name: condition for name, condition in where.items() if name != field}
