"""Errors as JSON: problem documents (RFC 9457)."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field
from typing_extensions import TypeAliasType

from backend.api.problem_codes import FAULTS, all_codes
from backend.api.schemas import Json
from backend.api.schemas.document import Document

_CODES: Final = "\n".join(
    f"- `{it.code}` ({it.status or 'only of commands and jobs'}): {it.meaning}"
    for it in all_codes()
)

ProblemCode = TypeAliasType(
    "ProblemCode",
    Annotated[
        str,
        Field(
            json_schema_extra={"enum": [it.code for it in all_codes()]},
            description=f"the kind of problem, for programs:\n\n{_CODES}",
        ),
    ],
)
FaultCode = TypeAliasType(
    "FaultCode",
    Annotated[
        str,
        Field(
            json_schema_extra={"enum": list(FAULTS)},
            description="what is wrong with one part of a request",
        ),
    ],
)
MORE: Final = "one of these; a later release may have more"
"""Said of an enumeration that grows, which clients have to take as an open one."""


class ProblemFault(Document):
    """One thing that is wrong with a request."""

    model_config = ConfigDict(frozen=True)

    parameter: str | None = Field(None, description="the query parameter or form field")
    pointer: str | None = Field(None, description="RFC 6901 pointer into the body")
    code: FaultCode | str = Field(description=MORE)
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
    code: ProblemCode | str = Field(description=MORE)
    request_id: str | None
    errors: list[ProblemFault] = Field([], description="what is wrong with the request")
    errors_left_out: int = Field(0, description="how many more faults there are")
    state: str | None = Field(None, description="of `not-searchable`: the product's state")
    reason: str | None = Field(None, description="of `not-searchable`: why it is in this state")


class BatchProblem(BaseModel):
    """The problem of one item of a batch; it has no request id of its own."""

    type: str
    title: str
    status: int
    detail: str
    code: ProblemCode | str = Field(description=MORE)
    errors: list[ProblemFault] = []
    errors_left_out: int = 0
    state: str | None = Field(None, description="of `not-searchable`: the product's state")
    reason: str | None = Field(None, description="of `not-searchable`: why it is in this state")
