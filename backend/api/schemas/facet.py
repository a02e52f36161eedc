"""Facets: the values of a field, and how many products have each."""

from __future__ import annotations

from pydantic import Field

from backend.api.schemas.document import Document
from backend.api.schemas.unknown_attributes import (
    PAGE_META,
    PageMeta,
)
from backend.filters import Scalar


class FacetValue(Document):
    """A value and how many searchable products have it."""

    value: Scalar
    count: int


class Facet(Document):
    """A field's values, the most frequent first."""

    field: str
    values: list[FacetValue]


class FacetPage(Document):
    """The facets, each of which can be filtered by."""

    items: list[Facet]
    next_cursor: str | None
    generation: int
    meta: PageMeta | None = Field(None, description=PAGE_META)
