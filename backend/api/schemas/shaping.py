"""How a list is shaped, in requests: members of bodies, and parameters of the query string."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final, Literal

from pydantic import Field
from typing_extensions import TypeAliasType

from backend.api.schemas.document import RequestBody
from backend.api.schemas.query import QueryReader
from backend.search.shaping import FIELDS, Shaping

GROUP_BY: Final = (
    "of the products with the same value of this field only the best one is shown, with "
    "`group_size`; `group_id`: one of all variants"
)
RESTRICT: Final = (
    "fields in which each product has the value of the query product, or of one of the examples; a "
    "field in which they have none does not count"
)
NO_PRODUCT: Final = "needs a product to compare with: the query has none"

ShapedField = TypeAliasType("ShapedField", Literal[FIELDS])  # type: ignore[valid-type]
"""A field by which lists are grouped and restricted."""


class ShapedBody(RequestBody):
    """The members of a body that shape a list."""

    group_by: ShapedField | None = Field(None, description=GROUP_BY)
    restrict: list[ShapedField] = Field([], max_length=len(FIELDS), description=RESTRICT)

    @property
    def shaping(self) -> Shaping:
        """Return what these members ask for."""
        return Shaping(group_by=self.group_by, restrict=tuple(dict.fromkeys(self.restrict)))


SHAPING_MEMBERS: Final = frozenset(ShapedBody.model_fields)


def read_shaping(reader: QueryReader, *, compared: bool) -> Shaping:
    """Read the parameters that shape a list; `compared` to products, it can be restricted."""
    group_by = reader.choice_or_none("group_by", FIELDS)
    restrict = reader.words_among("restrict", FIELDS) if compared else []
    return Shaping(group_by=group_by, restrict=tuple(dict.fromkeys(restrict)))


def with_members(shaping: Shaping, body: ShapedBody) -> Shaping:
    """Return the options with those that a body has."""
    ours = body.shaping
    given: Mapping[str, Any] = {
        name: getattr(ours, name) for name in SHAPING_MEMBERS & body.model_fields_set
    }
    return replace(shaping, **given)
