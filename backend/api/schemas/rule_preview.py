"""Previews of rules in JSON: which rules are tried, and how many lists would change."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, Self, TypeAlias

from pydantic import (
    AfterValidator,
    Field,
    PlainValidator,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from backend.api.schemas.body import faults_of
from backend.api.schemas.document import EITHER, BodyLimits, Document, RequestBody
from backend.api.schemas.rule import RuleBody, RuleProblem
from backend.catalogue.texts import storable
from backend.filters import Schema
from backend.merchandising.rules import MOST as MOST_RULES
from backend.search.query import MAX_LIMIT
from backend.search.rule_preview import MOST_SAMPLED, SAMPLE, RuleTrial

MOST_TRIED: Final = 50


class RuleCandidate(RuleBody):
    """A rule that is tried."""

    id: int | None = Field(None, ge=1, description="the stored rule whose place it takes")


def _pass(item: Any) -> Any:
    """Leave a candidate as it is: the body checks each, and keeps it as it was sent."""
    return item


Candidate: TypeAlias = Annotated[Any, PlainValidator(_pass, json_schema_input_type=RuleCandidate)]


class PreviewBody(RequestBody):
    """Rules that are tried, and on which lists."""

    rules: list[Candidate] = Field(
        [], max_length=MOST_TRIED, description="as if their periods had begun"
    )
    without: list[int] = Field(
        [], max_length=MOST_RULES, description="stored rules that are tried to be removed"
    )
    placement: Annotated[str, AfterValidator(storable)] | None = Field(
        None,
        description="whose lists are compared; absent: that of all rules, if it is the same",
    )
    limit: int | None = Field(
        None, ge=1, le=MAX_LIMIT, description="of the lists; absent: as the placement has it, or 10"
    )
    sample: int = Field(
        SAMPLE, ge=1, le=MOST_SAMPLED, description=f"how many lists; {SAMPLE} if absent"
    )
    seed: int = Field(0, ge=0, le=2**31, description="draws other products; 0 if absent")

    @field_validator("rules")
    @classmethod
    def _check_rules(
        cls, candidates: list[Any], info: ValidationInfo[BodyLimits]
    ) -> list[dict[str, Any]]:
        return [_tried(each, info.context, at) for at, each in enumerate(candidates)]

    @model_validator(mode="after")
    def _check_any(self) -> Self:
        if not (self.rules or self.without):
            raise PydanticCustomError(EITHER, "needs rules to try, or ids of rules to try without")
        return self

    @classmethod
    def read(cls, given: Mapping[str, Any], fields: Schema) -> Self:
        """Check a body outside of a request. Raises pydantic's ValidationError."""
        return cls.model_validate(given, context=BodyLimits(fields, max_batch=0))

    @property
    def tried(self) -> RuleTrial:
        """Return what is tried."""
        return RuleTrial(
            candidates=self.rules,
            without=self.without,
            placement=self.placement,
            limit=self.limit,
            sample=self.sample,
            seed=self.seed,
        )


def _tried(given: Any, limits: BodyLimits, at: int) -> dict[str, Any]:
    """Return a candidate as it would be stored, with its id; `at` is its place in the body."""
    if not isinstance(given, dict):
        raise PydanticCustomError("rule", "each must be a JSON object")
    try:
        body = RuleCandidate.model_validate(given, context=limits)
    except ValidationError as error:
        faults = [
            fault.model_copy(update={"pointer": f"/rules/{at}{fault.pointer or ''}"})
            for each in error.errors()
            for fault in faults_of(each, RuleCandidate)
        ]
        raise PydanticCustomError("rules", "wrong rules", {"faults": faults}) from None
    return body.stored(given) | ({} if body.id is None else {"id": body.id})


class CandidateProblem(RuleProblem):
    """What is wrong with a rule that is tried."""

    rule: int = Field(description="its place in `rules`, from 0")


class PreviewExample(Document):
    """A list that changes: skus, best first."""

    sku: str = Field(description="of the product that it is about")
    before: list[str]
    after: list[str]


class PreviewAnswer(Document):
    """How many lists of drawn products would change."""

    eligible: int = Field(
        description="indexed products that were drawn from: those that pass a condition of the "
        "rules, if all have one"
    )
    sampled: int = Field(description="lists that were compared")
    changed: int = Field(description="of these, how many would change")
    placement: str | None
    limit: int
    seed: int
    examples: list[PreviewExample] = Field(description="the first three that would change")
    problems: list[CandidateProblem] = Field(
        [], description="why candidates do not do, or not wholly do, what they say"
    )
