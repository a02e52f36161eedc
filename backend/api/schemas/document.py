"""What all models have in common."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, GetJsonSchemaHandler, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from backend.catalogue.request_schema import without_defaults
from backend.filters import Schema

EITHER: Final = "either"
"""The type of an error in the whole body, not in a member of it."""

_ANNOTATIONS: Final = ("title", "description", "readOnly")


@dataclass(frozen=True)
class BodyLimits:
    """What the settings allow in a body; pydantic passes it to validators as their context."""

    filterable: Schema
    max_batch: int


class Document(BaseModel):
    """A JSON object without undeclared members. No value is converted."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class RequestBody(Document):
    """What a client sends. A member of null counts as absent. Its schema has no defaults."""

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Return the schema, which says of each member that may be absent that it may be null."""
        schema = handler(core_schema)
        described = handler.resolve_ref_schema(schema)
        without_defaults(described)
        for name, member in described.get("properties", {}).items():
            if name not in described.get("required", ()):
                described["properties"][name] = _or_null(member)
        return schema

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, given: Any) -> Any:
        if not isinstance(given, dict):
            return given
        return {
            name: value
            for name, value in given.items()
            if value is not None or name not in cls.model_fields
        }


def _or_null(member: JsonSchemaValue) -> JsonSchemaValue:
    """Return the schema of a member that takes null too; what only describes it stays outside."""
    choices = member.get("anyOf", [])
    if {"type": "null"} in choices:
        return member
    outside: JsonSchemaValue = {name: member[name] for name in _ANNOTATIONS if name in member}
    inside = {name: value for name, value in member.items() if name not in outside}
    return {"anyOf": [*(choices or [inside]), {"type": "null"}], **outside}
