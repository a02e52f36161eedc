"""How a list is shaped, in requests: members of bodies, and parameters of the query string."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from typing import Annotated, Any, Final, Literal, Self, TypeAlias

from pydantic import Field, ValidationInfo, field_validator, model_validator
from pydantic_core import PydanticCustomError
from typing_extensions import TypeAliasType

from backend.api.schemas.document import BodyLimits, RequestBody
from backend.api.schemas.filters import read_number
from backend.api.schemas.query import QueryReader
from backend.filters import OPEN_PREFIX
from backend.search.boosting import MOST, RULE, Boost, check_sum
from backend.search.shaping import FIELDS, MIN_MATCH, MIN_SCORE, Shaping

MOST_BOOSTS: Final = 10
MOST_CLAUSES: Final = 20
DIVERSITY: Final = (
    "how much the products of the list must differ from each other, from 0 (not at all) to 1; it "
    "reorders the 5 x limit nearest, 300 at most (maximal marginal relevance)"
)
BOOST: Final = "fields by which products are raised among the 5 x limit nearest, 300 at most"
BOOST_WORDS: Final = f"{BOOST}: `field:weight` or `field:weight:none_at:full_at`"
PLACEMENT: Final = "the placement whose settings hold for all that the request does not say itself"
RELAX: Final = (
    "clauses that may be dropped, in this order, while fewer than `limit` products pass: fields of "
    "the filter or of `restrict`, `min_score` or `min_match`"
)
CLAUSES: Final = f"takes up to {MOST_CLAUSES} names of fields, {MIN_SCORE} or {MIN_MATCH}"
BOOSTED: Final = (
    "where `boost` is given, or a rule raises or lowers the item: what is added to the score for "
    "the order of the list"
)
PINNED_BY: Final = "the rule that has put the item at its position"
RELAXED_ITEM: Final = "the clauses that were dropped before this item was found"
LEAST_MATCH: Final = (
    "lowest `match` of the list; it does nothing while the generation has no curve, and beside "
    "`text` or `colour`"
)
RELAXED: Final = "where `relax` is given: the clauses that were dropped"
_BOOST: Final = re.compile(r"(.+?):([^:]+)(?::([^:]+):([^:]+))?")
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


class BoostBody(RequestBody):
    """A field by which products are raised in a list; a negative weight lowers them."""

    field: str = Field(
        max_length=200,
        description="in_stock, freshness (days since the product was first seen), year, price or "
        "attributes.<name>, a number",
    )
    weight: float = Field(ge=-MOST, le=MOST, description="added where the field is at `full_at`")
    none_at: float | None = Field(None, description="the value at which nothing is added")
    full_at: float | None = Field(None, description="the value at which all of it is added")

    @model_validator(mode="after")
    def _check(self) -> Self:
        _checked(lambda: self.boost)
        return self

    @property
    def boost(self) -> Boost:
        """Return the checked boost."""
        return Boost.of(self.field, self.weight, self.none_at, self.full_at)


def _checked(read: Callable[[], object]) -> None:
    try:
        read()
    except ValueError as error:
        raise PydanticCustomError("boost", "{reason}", {"reason": str(error)}) from None


Boosts: TypeAlias = Annotated[list[BoostBody], Field(max_length=MOST_BOOSTS)]


class ShapedBody(RequestBody):
    """The members of a body that shape a list."""

    group_by: ShapedField | None = Field(None, description=GROUP_BY)
    restrict: list[ShapedField] = Field([], max_length=len(FIELDS), description=RESTRICT)
    diversity: float = Field(0.0, ge=0, le=1, description=DIVERSITY)
    boost: Boosts = Field([], description=BOOST)
    relax: list[str] = Field([], max_length=MOST_CLAUSES, description=RELAX)

    @field_validator("boost")
    @classmethod
    def _check_boost(cls, boost: list[BoostBody]) -> list[BoostBody]:
        _checked(lambda: check_sum([it.boost for it in boost]))
        return boost

    @field_validator("relax")
    @classmethod
    def _check_relax(cls, relax: list[str], info: ValidationInfo[BodyLimits]) -> list[str]:
        allowed = () if info.context is None else info.context.filterable
        for clause in relax:
            if not is_clause(clause, allowed):
                raise PydanticCustomError("relax", "{reason}", {"reason": CLAUSES})
        return relax

    @property
    def shaping(self) -> Shaping:
        """Return what these members ask for."""
        return Shaping(
            group_by=self.group_by,
            restrict=tuple(dict.fromkeys(self.restrict)),
            diversity=self.diversity,
            boost=tuple(it.boost for it in self.boost),
            relax=tuple(dict.fromkeys(self.relax)),
        )


def is_clause(name: str, fields: Collection[str]) -> bool:
    """Tell whether `relax` may name this."""
    return name in (MIN_SCORE, MIN_MATCH) or name in fields or name.startswith(OPEN_PREFIX)


SHAPING_MEMBERS: Final = frozenset(ShapedBody.model_fields)


def read_shaping(reader: QueryReader, fields: Collection[str], *, compared: bool) -> Shaping:
    """Read the parameters that shape a list; `compared` to products, it can be restricted."""
    group_by = reader.choice_or_none("group_by", FIELDS)
    restrict = reader.words_among("restrict", FIELDS) if compared else []
    diversity = reader.number("diversity", least=0, most=1)
    relax = reader.words("relax")
    if not all(is_clause(it, fields) for it in relax) or len(relax) > MOST_CLAUSES:
        reader.refuse("relax", CLAUSES)
    return Shaping(
        group_by=group_by or None,
        restrict=tuple(dict.fromkeys(restrict)),
        diversity=diversity or 0.0,
        boost=_boosts(reader),
        relax=tuple(dict.fromkeys(relax)),
    )


def _boosts(reader: QueryReader) -> tuple[Boost, ...]:
    words = reader.words("boost")
    try:
        if len(words) > MOST_BOOSTS:
            raise ValueError(f"takes {MOST_BOOSTS} fields at most")
        found = tuple(map(_boost, words))
        check_sum(found)
    except ValueError as error:
        reader.refuse("boost", str(error))
        return ()
    return found


def _boost(word: str) -> Boost:
    """Read `field:weight` or `field:weight:none_at:full_at`; raises ValueError."""
    parts = _BOOST.fullmatch(word)
    if parts is None:
        raise ValueError(f"takes field:weight or field:weight:none_at:full_at; {RULE}")
    field, weight, none_at, full_at = parts.groups()
    bounds = (None if it is None else read_number(it) for it in (none_at, full_at))
    return Boost.of(field, read_number(weight), *bounds)


def with_members(shaping: Shaping, body: ShapedBody) -> Shaping:
    """Return the options with those that a body has."""
    ours = body.shaping
    given: Mapping[str, Any] = {
        name: getattr(ours, name) for name in SHAPING_MEMBERS & body.model_fields_set
    }
    return replace(shaping, **given)
