"""Errors as JSON: problem documents (RFC 9457)."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from backend.api.schemas import Json
from backend.api.schemas.document import Document


class ProblemFault(Document):
    """One thing that is wrong with a request."""

    model_config = ConfigDict(frozen=True)

    parameter: str | None = Field(None, description="the query parameter or form field")
    pointer: str | None = Field(None, description="RFC 6901 pointer into the body")
    code: str
    detail: str = Field(description="what is wrong, and what is allowed")

    def as_json(self) -> Json:
        """Return the members that are set; a pointer of "" is the whole body."""
        return self.model_dump(exclude_none=True)


class Problem(BaseModel):
    """An RFC 9457 problem document; some problems have further members."""

    type: str = Field(description="urn:lookalike:problem:<code>")
    title: str
    status: int
    detail: str
    code: str = Field(description="the kind of problem, for programs")
    request_id: str | None
    errors: list[ProblemFault] = Field([], description="everything wrong with the request")


class BatchProblem(BaseModel):
    """The problem of one item of a batch; it has no request id of its own."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    errors: list[ProblemFault] = []
