"""Generations in JSON, and the bodies that ask for a re-index or a promotion."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import AfterValidator, ConfigDict, Field
from typing_extensions import TypeAliasType

from backend.api.schemas.document import Document, RequestBody
from backend.catalogue.texts import storable
from backend.reindex.requests import ADAPT, HNSW, QUANTIZATIONS, ReindexPlan


class GenerationDocument(Document):
    """One index of the whole catalogue by one embedder."""

    id: int
    collection: str
    embedder: str
    fingerprint: str
    size: int
    state: str


GenerationState = TypeAliasType(
    "GenerationState", Literal["building", "active", "standby", "retired"]
)


class VectorBlock(Document):
    """A part of the vectors whose length is the same in all of them."""

    name: str = Field(description="look, colour")
    start: int
    stop: int


class MatchCurveDocument(Document):
    """Straight lines between points, from (-1, 0) to the first one."""

    by: str = Field(description="the field that tells the kind")
    scores: list[float]
    shares: list[float] = Field(description="share of neighbours of the same kind at each score")
    error: float = Field(
        description="expected calibration error, on products that the curve was not fitted on"
    )
    pairs: int = Field(description="neighbours that it was fitted on")
    products: int = Field(description="products that the index held then")


class GenerationDetail(GenerationDocument):
    """A generation with its progress, and the numbers of its last check."""

    state: GenerationState
    quantization: str | None
    index_options: dict[str, Any]
    blocks: list[VectorBlock] | None = Field(
        description="parts of the vectors that a query can weigh; null: not known yet"
    )
    attribute_tokens: bool = Field(
        description="whether filters on every attribute have an index; a re-index gives it one"
    )
    products: int | None = Field(description="null once it is retired, like the next three")
    pending: int | None
    indexed: int | None
    quarantined: int | None
    created_at: datetime
    promoted_at: datetime | None
    retired_at: datetime | None
    dropped_at: datetime | None
    quality: dict[str, Any] | None = Field(description="each number, its bound and its verdict")
    match: MatchCurveDocument | None = Field(
        description="from a score to a `match`; null while there are too few labels"
    )


class GenerationPage(Document):
    """All generations, the newest first."""

    items: list[GenerationDetail]
    next_cursor: str | None


# --- bodies: types are checked here; `ReindexPlan.check` refuses wrong values, also a command's ---


def _hnsw_number(name: str) -> Any:
    bounds = HNSW[name]
    return Field(json_schema_extra={"minimum": bounds[0], "maximum": bounds[-1]})


class HnswBody(RequestBody):
    """How a graph is built."""

    model_config = ConfigDict(extra="allow", json_schema_extra={"additionalProperties": False})
    __pydantic_extra__: dict[str, int | None]

    m: Annotated[int, _hnsw_number("m")] | None = Field(None, description="links of a point")
    ef_construct: Annotated[int, _hnsw_number("ef_construct")] | None = Field(
        None, description="candidates for each link"
    )


_Text: TypeAlias = Annotated[str, AfterValidator(storable)]
_Quantization: TypeAlias = Annotated[_Text, Field(json_schema_extra={"enum": [*QUANTIZATIONS]})]
_Promote: TypeAlias = Annotated[_Text, Field(json_schema_extra={"enum": ["auto", "manual"]})]
_Adapt: TypeAlias = Annotated[_Text, Field(json_schema_extra={"enum": [*ADAPT]})]


class ReindexBody(RequestBody):
    """Settings of the new index; absent ones stay as in the active index."""

    embedder: Annotated[_Text, Field(json_schema_extra={"minLength": 1})] | None = Field(
        None, description="name, with ?option=value&…"
    )
    quantization: _Quantization | None = None
    hnsw: HnswBody = HnswBody(m=None, ef_construct=None)
    promote: _Promote = "auto"
    force: bool = Field(False, description="promote it even if checks fail; their numbers are kept")
    adapt: _Adapt = Field(
        "auto",
        description="first fit the embedder to this shop, and use that where it is better; only: "
        "build no index unless it is",
    )

    def plan(self) -> ReindexPlan:
        """Return the plan; its values are not checked yet."""
        return ReindexPlan(
            embedder=self.embedder,
            quantization=self.quantization,
            hnsw=self.hnsw.model_dump(exclude_none=True),
            promote=self.promote or "auto",
            force=self.force,
            adapt=self.adapt or "auto",
        )


class ForceBody(RequestBody):
    """Whether to ignore checks that failed."""

    force: bool = False
