"""Errors as JSON: problem documents (RFC 9457)."""

from __future__ import annotations

from typing import Final

from pydantic import BaseModel, ConfigDict, Field

from backend.api.problem_codes import FAULTS, all_codes
from backend.api.schemas import Json
from backend.api.schemas.document import Document

_CODES: Final = "\n".join(f"- `{it.code}` ({it.status}): {it.meaning}" for it in all_codes())
_CODE: Final[Json] = {"enum": [it.code for it in all_codes()]}


class ProblemFault(Document):
    """One thing that is wrong with a request."""

    model_config = ConfigDict(frozen=True)

    parameter: str | None = Field(None, description="the query parameter or form field")
    pointer: str | None = Field(None, description="RFC 6901 pointer into the body")
    code: str = Field(json_schema_extra={"enum": list(FAULTS)})
    detail: str = Field(description="what is wrong; the first fault of a kind says what is allowed")

    def as_json(self) -> Json:
        """Return the members that are set; a pointer of "" is the whole body."""
        return self.model_dump(exclude_none=True)


class Problem(BaseModel):
    """An RFC 9457 problem document; some problems have further members."""

    type: str = Field(description="urn:lookalike:problem:<code>")
    title: str
    status: int
    detail: str
    code: str = Field(
        description=f"the kind of problem, for programs:\n\n{_CODES}", json_schema_extra=_CODE
    )
    request_id: str | None
    errors: list[ProblemFault] = Field([], description="what is wrong with the request")
    errors_left_out: int = Field(0, description="how many more faults there are")


class BatchProblem(BaseModel):
    """The problem of one item of a batch; it has no request id of its own."""

    type: str
    title: str
    status: int
    detail: str
    code: str = Field(json_schema_extra=_CODE)
    errors: list[ProblemFault] = []
    errors_left_out: int = 0
