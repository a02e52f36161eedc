"""Rules in JSON: what is put, and what is shown of a rule."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal, Self, TypeAlias

from pydantic import (
    AfterValidator,
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError
from typing_extensions import TypeAliasType

from backend.api.schemas.document import EITHER, BodyLimits, Document, RequestBody
from backend.api.schemas.filters import Filter
from backend.catalogue.drafts import Sku
from backend.catalogue.texts import storable
from backend.filters import Schema
from backend.merchandising.placements import NAME
from backend.merchandising.rule_set import PRIORITY, WEIGHT, Action
from backend.search.boosting import MOST
from backend.search.query import MAX_LIMIT
from backend.search.rule_state import RuleState

MOST_SKUS: Final = 100

Text: TypeAlias = Annotated[str, AfterValidator(storable), Field(min_length=1, max_length=200)]


def _with_zone(time: datetime) -> datetime:
    if time.tzinfo is None:
        raise ValueError("needs a time zone, such as 2026-12-24T18:00:00Z")
    try:
        return time.astimezone(UTC)
    except OverflowError:
        raise ValueError("lies before the year 1 or after 9999 in UTC") from None


def _check_name(name: str) -> str:
    if not re.fullmatch(NAME, name):
        raise ValueError(
            "must have 1 to 64 letters, digits, . _ or -, and begin with a letter or digit"
        )
    return name


Moment: TypeAlias = Annotated[datetime, AfterValidator(_with_zone)]
PlacementName: TypeAlias = Annotated[
    str, AfterValidator(_check_name), Field(json_schema_extra={"pattern": f"^{NAME}$"})
]


class RuleBody(RequestBody):
    """What a merchandiser wants of lists. Either `skus` or `filter` names the products."""

    action: Action = Field(
        strict=False,
        description="pin: show at `position`; hide: leave out; boost: raise by `weight`; bury: "
        "lower by `weight`",
    )
    name: Text | None = Field(None, description="for people, such as `winter sale`")
    skus: list[Sku] = Field(
        [],
        max_length=MOST_SKUS,
        description="the products; several are pinned at following positions",
    )
    filter: Filter = Field(
        {}, description="the products that pass it; of these, the best one of a list is pinned"
    )
    placement: PlacementName | None = Field(
        None, description="whose lists it is for; absent: all lists"
    )
    condition: Filter = Field(
        {},
        description="what the query product must be like, or one of the examples; absent: any, or "
        "none",
    )
    position: int | None = Field(
        None, ge=1, le=MAX_LIMIT, description="of pinned products, from 1; 1 if absent"
    )
    weight: float | None = Field(
        None,
        gt=0,
        le=MOST,
        description=f"added to or taken from the score for the order of the list; {WEIGHT} if "
        "absent",
    )
    priority: int = Field(
        PRIORITY, ge=0, le=1000, description=f"smaller ones go first; {PRIORITY} if absent"
    )
    starts_at: Moment | None = Field(None, strict=False, description="absent: at once")
    ends_at: Moment | None = Field(None, strict=False, description="absent: never")
    enabled: bool = Field(True, description="false: it is kept, and does nothing")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if bool(self.skus) == bool(self.filter):
            raise PydanticCustomError(EITHER, "needs either skus or a filter")
        return self

    @field_validator("position")
    @classmethod
    def _check_position(cls, position: int | None, info: ValidationInfo) -> int | None:
        if position is not None and info.data.get("action", Action.PIN) is not Action.PIN:
            raise ValueError("only a rule that pins has a position")
        return position

    @field_validator("weight")
    @classmethod
    def _check_weight(cls, weight: float | None, info: ValidationInfo) -> float | None:
        weighs = (Action.BOOST, Action.BURY)
        if weight is not None and info.data.get("action", Action.BOOST) not in weighs:
            raise ValueError("only a rule that boosts or buries has a weight")
        return weight

    @field_validator("ends_at")
    @classmethod
    def _check_end(cls, ends_at: datetime | None, info: ValidationInfo) -> datetime | None:
        starts_at = info.data.get("starts_at")
        if ends_at and starts_at and starts_at >= ends_at:
            raise ValueError("must be later than starts_at")
        return ends_at

    @classmethod
    def checked(cls, given: Mapping[str, Any], fields: Schema) -> dict[str, Any]:
        """Check settings outside of a request, and return them as they are stored.

        Raises pydantic's ValidationError.
        """
        return cls.model_validate(given, context=BodyLimits(fields, max_batch=0)).stored(given)

    def stored(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return the members that were given, as they are stored; filters as they were sent."""
        named = {name: it for name, it in given.items() if it is not None}
        filters = {name: named[name] for name in ("filter", "condition") if named.get(name)}
        others = self.model_dump(
            mode="json", include=set(named), exclude={"filter", "condition", "id"}
        )
        return {**others, **filters}


RuleProblemCode = TypeAliasType(
    "RuleProblemCode",
    Literal[
        "unreadable",
        "expired",
        "unknown-placement",
        "unknown-product",
        "sold-out",
        "not-indexed",
        "no-match",
        "filtered-out",
        "hidden",
        "position-taken",
    ],
)


class RuleProblem(Document):
    """Why a rule does not do, or not wholly do, what it says; the lists are made without that."""

    code: RuleProblemCode
    detail: str
    sku: str | None = Field(None, description="the product that it is about")


class RuleDocument(Document):
    """A rule of a merchandiser."""

    id: int
    version: int = Field(description="rises by 1 with each change")
    settings: dict[str, Any] = Field(description="as they were put")
    state: RuleState = Field(description="whether it acts now")
    problems: list[RuleProblem] = Field(description="empty where all is well")
    created_at: datetime
    updated_at: datetime


class RulePage(Document):
    """Rules, by id."""

    items: list[RuleDocument]
    next_cursor: str | None


class RuleChangeDocument(Document):
    """One change of a rule."""

    rule: int
    version: int
    change: Literal["created", "replaced", "removed"]
    settings: dict[str, Any] = Field(description="since then; of a removed rule, its last ones")
    by: str | None = Field(description="prefix of the API key, or `command`; null: without a key")
    at: datetime


class RuleHistory(Document):
    """The changes of a rule, the newest first; also of one that was removed."""

    items: list[RuleChangeDocument]
