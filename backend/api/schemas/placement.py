"""Placements in JSON: what they hold, and how a request takes their defaults."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import datetime
from functools import lru_cache
from typing import Any, Final, Literal, Self

from pydantic import Field

from backend.api.context import services
from backend.api.problems import fault_of, invalid_request
from backend.api.schemas.document import BodyLimits, Document
from backend.api.schemas.filters import Filter
from backend.api.schemas.query import MOST_WORDS
from backend.api.schemas.shaping import LEAST_MATCH, SHAPING_MEMBERS, ShapedBody
from backend.catalogue.drafts import Sku
from backend.filters import Schema
from backend.indexing import schema
from backend.merchandising import placements
from backend.search.query import MAX_LIMIT, PlacementUsed, Query

_MEMBERS: Final = ("limit", "exclude", "min_score", "min_match", "colour")


class PlacementBody(ShapedBody):
    """The defaults of the requests that name a placement."""

    limit: int | None = Field(None, ge=1, le=MAX_LIMIT, description="how many at most")
    exclude: list[Sku] = Field([], max_length=MOST_WORDS, description="skus that are left out")
    min_score: float | None = Field(None, ge=-1, le=1)
    min_match: float | None = Field(None, ge=0, le=1, description=LEAST_MATCH)
    colour: float | None = Field(None, ge=0, le=1, description="how much colour counts")
    filter: Filter = {}

    @classmethod
    def checked(cls, given: Mapping[str, Any], fields: Schema) -> Self:
        """Check settings outside of a request. Raises pydantic's ValidationError."""
        return cls.model_validate(given, context=BodyLimits(fields, max_batch=0))


class PlacementDocument(Document):
    """A placement: a named set of defaults."""

    name: str
    version: int = Field(description="rises by 1 with each change")
    settings: dict[str, Any] = Field(description="as they were put")
    updated_at: datetime


class PlacementChangeDocument(Document):
    """One change of a placement."""

    name: str
    version: int
    change: Literal["created", "replaced", "removed"]
    settings: dict[str, Any] = Field(description="since then; of a removed one, its last ones")
    by: str | None = Field(description="prefix of the API key, or `command`; null: without a key")
    at: datetime


class PlacementHistory(Document):
    """The changes of a placement, the newest first; also of one that was removed."""

    items: list[PlacementChangeDocument]


class PlacementPage(Document):
    """All placements, by name."""

    items: list[PlacementDocument]


def is_current(used: PlacementUsed) -> bool:
    """Tell whether a placement is still as it was when its defaults were taken."""
    return _read_used(used.name) == used


def _read_used(name: str) -> PlacementUsed | None:
    with services().db.query() as connection:
        kept = connection.unchanged(PlacementUsed)
        if kept is not None and name in kept:
            known: PlacementUsed = kept[name]
            return known
        found = placements.find(connection, name)
        if found is None:
            return None
        used = PlacementUsed(name=name, version=found.version, settings=found.settings)
        if kept is not None:
            connection.keep(kept, {name: used})
    return used


@lru_cache(maxsize=placements.MOST)
def _read_body(settings: str, facets: tuple[str, ...]) -> PlacementBody:
    """Read settings that were checked when they were put, once for each change."""
    return PlacementBody.checked(json.loads(settings), schema(facets))


def with_placement(query: Query, name: str | None, given: Collection[str]) -> Query:
    """Return the query with the defaults of a placement, except for what was `given`.

    A filter of the placement holds for each field that the request does not filter by. Raises
    RequestError if there is no such placement.
    """
    if name is None:
        return query
    used = _read_used(name)
    if used is None:
        raise invalid_request([fault_of("placement", placements.unknown(name).message)])
    body = _read_body(used.settings, services().settings.facets)
    named = (body.model_fields_set - set(given)) & set(_MEMBERS)
    defaults: Mapping[str, Any] = {member: getattr(body, member) for member in named}
    shaping = body.shaping
    wanted = (body.model_fields_set - set(given)) & SHAPING_MEMBERS
    shaped: Mapping[str, Any] = {member: getattr(shaping, member) for member in wanted}
    return replace(
        query,
        **defaults,
        where={**body.filter, **query.where},
        shaping=replace(query.shaping, **shaped),
        placement=used,
    )
