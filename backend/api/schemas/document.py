"""What all models have in common."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, model_validator

from backend.filters import Schema


@dataclass(frozen=True)
class BodyLimits:
    """What the settings allow in a body; pydantic passes it to validators as their context."""

    filterable: Schema
    max_batch: int


class Document(BaseModel):
    """A JSON object without undeclared members. No value is converted."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class RequestBody(Document):
    """What a client sends. A member of null counts as absent."""

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
