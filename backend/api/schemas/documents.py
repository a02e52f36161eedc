"""What the API's description says of bodies and answers: one model for each JSON object."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field

from backend.catalogue import drafts
from backend.queue.progress import State
from backend.vectors import SearchMode

Scalar: TypeAlias = str | int | float | bool
SKU_PATTERN = f"^{drafts.SKU.pattern}$"


class Document(BaseModel):
    """A JSON object of which every member is described."""

    model_config = ConfigDict(extra="forbid")


# --- errors ----------------------------------------------------------------------------------


class ProblemFault(Document):
    """One thing that is wrong with a request."""

    parameter: str | None = Field(None, description="the query parameter or form field")
    pointer: str | None = Field(None, description="RFC 6901 pointer into the body")
    code: str
    detail: str = Field(description="what is wrong, and what is allowed")


class Problem(BaseModel):
    """An RFC 9457 problem document; some problems have further members."""

    type: str = Field(description="urn:lookalike:problem:<code>")
    title: str
    status: int
    detail: str
    code: str = Field(description="what a program may rely on")
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


# --- products --------------------------------------------------------------------------------


class _Fields(Document):
    display_name: str | None = Field(None, max_length=drafts.LONGEST_NAME)
    gender: str | None = Field(None, max_length=drafts.LONGEST_CATEGORY)
    master_category: str | None = Field(None, max_length=drafts.LONGEST_CATEGORY)
    sub_category: str | None = Field(None, max_length=drafts.LONGEST_CATEGORY)
    article_type: str | None = Field(None, max_length=drafts.LONGEST_CATEGORY)
    base_colour: str | None = Field(None, max_length=drafts.LONGEST_CATEGORY)
    season: str | None = Field(None, max_length=drafts.LONGEST_CATEGORY)
    year: int | None = Field(None, ge=drafts.YEARS[0], le=drafts.YEARS[-1])
    usage: str | None = Field(None, max_length=drafts.LONGEST_CATEGORY)
    price: float | None = Field(None, ge=0, le=drafts.DEAREST)
    in_stock: bool = True
    attributes: dict[str, Scalar | list[Scalar] | None] = Field(
        {}, description="open attributes: scalars, or lists of scalars"
    )
    image_uri: str | None = Field(
        None,
        max_length=drafts.LONGEST_URI,
        description="http(s):// or s3:// on a host that is allowed, or what was read from here; "
        "absent: the image stays; null: there is none",
    )


class ProductBody(_Fields):
    """A product as a client writes it. `state` and `reason` are read-only and passed over."""

    sku: str | None = Field(None, description="absent, or the sku of the path")
    state: str | None = Field(None, json_schema_extra={"readOnly": True})
    reason: str | None = Field(None, json_schema_extra={"readOnly": True})


class Product(_Fields):
    """A product as it is read; with `fields`, only the sku and what was asked for."""

    sku: str = Field(pattern=SKU_PATTERN)
    state: State = Field(State.PENDING, json_schema_extra={"readOnly": True})
    reason: str | None = Field(
        None, description="of the quarantine", json_schema_extra={"readOnly": True}
    )


class ProductPage(Document):
    """Products in the order in which they were added."""

    items: list[Product]
    next_cursor: str | None


class BatchProduct(ProductBody):
    """A product in a batch, which must name its sku."""

    sku: str = Field(pattern=SKU_PATTERN)


class BatchBody(Document):
    """Products, each written as if by a PUT of its own."""

    items: list[BatchProduct]


class BatchItem(Document):
    """What became of one product of a batch."""

    sku: str | None
    status: int = Field(description="201 new, 200 stored, or that of the problem")
    problem: BatchProblem | None = None


class BatchAnswer(Document):
    """What became of each product, in the order of the request."""

    items: list[BatchItem]


# --- similar items ---------------------------------------------------------------------------


class Neighbour(Document):
    """A product that looks like the query."""

    sku: str
    score: float = Field(ge=-1, le=1, description="cosine similarity")
    product: Product


class SimilarMeta(BaseModel):
    """How the answer came about."""

    embedder: str
    fingerprint: str
    search_mode: SearchMode = Field(
        description="plain: a walk of the graph; acorn: one that also passes through what the "
        "filter drops; exact: all that pass the filter were compared"
    )
    took_ms: float
    query_state: State | None = Field(None, description="of the query product")


class SimilarAnswer(Document):
    """Similar items, best first, without the query product."""

    items: list[Neighbour]
    generation: int
    request_id: str
    meta: SimilarMeta


class Bound(Document):
    """A negation or a range."""

    none_of: Scalar | list[Scalar] | None = Field(None, alias="not")
    gte: float | None = None
    gt: float | None = None
    lte: float | None = None
    lt: float | None = None


class SimilarBody(Document):
    """A query by a product of the catalogue, for filters too long for a query string."""

    sku: str = Field(pattern=SKU_PATTERN)
    filter: dict[str, Scalar | list[Scalar] | Bound] = {}
    limit: int = Field(10, ge=1, le=100)
    exclude: list[str] = Field([], description="skus that are left out")
    fields: list[str] = Field([], description="members of the products that are wanted")
    min_score: float | None = Field(None, ge=-1, le=1)


# --- the rest --------------------------------------------------------------------------------


class FacetValue(Document):
    """A value and how many searchable products have it."""

    value: Scalar
    count: int


class Facet(Document):
    """A field's values, the most frequent first."""

    field: str
    values: list[FacetValue]


class FacetPage(Document):
    """The facets, each of which can be filtered by."""

    items: list[Facet]
    next_cursor: str | None
    generation: int


class GenerationDocument(Document):
    """One index of the whole catalogue by one embedder."""

    id: int
    collection: str
    embedder: str
    fingerprint: str
    size: int
    state: str


class FilterRecall(Document):
    """How often filters of one shape were asked, and what a sample of them found."""

    shape: str = Field(description="fields and kinds of clause, no values; empty: no filter")
    mode: SearchMode
    queries: int
    compared: int = Field(description="how many were compared with exact search")
    recall: float | None = Field(description="mean recall@10 of those; null: none was compared")


class ShardBuilt(Document):
    """How the graph of an embedded index was built."""

    at: datetime
    points: int
    seconds: float
    caught_up: int = Field(description="points that had changed meanwhile")
    stall_seconds: float = Field(description="for which nothing was answered, as it was loaded")
    peak_bytes: int = Field(description="memory of the process that built it")


class ShardFailure(Document):
    """Why the last build came to nothing; the index before it goes on answering."""

    at: datetime
    reason: str


class ShardDocument(Document):
    """The embedded index of the active generation."""

    optimized: bool = Field(description="whether it has a graph; else all points are compared")
    dirty: int = Field(description="points written since it was made, which are outside the graph")
    building: bool
    built: ShardBuilt | None
    failure: ShardFailure | None


class Status(Document):
    """Counts of the active generation: products = pending + indexed + quarantined."""

    products: int
    pending: int
    indexed: int
    quarantined: int
    removing: int
    oldest_pending_seconds: float | None
    counted_seconds_ago: float = Field(description="0 but for catalogues that take long to count")
    generation: GenerationDocument | None
    shard: ShardDocument | None = Field(description="null where a Qdrant server holds the index")
    jobs: dict[str, int]
    filter_recall: list[FilterRecall] = Field(description="the most frequent shapes first")
    version: str


class QuarantinedProduct(Document):
    """A product that cannot be indexed as it is, and why."""

    sku: str
    reason: str
    failures: int
    image_uri: str | None


class QuarantinePage(Document):
    """The quarantine, in the order in which the products were added."""

    items: list[QuarantinedProduct]
    next_cursor: str | None


class JobDocument(Document):
    """An operator's long task."""

    id: int
    verb: str
    arguments: dict[str, Any]
    state: Literal["queued", "running", "done", "failed"]
    done: int
    total: int | None
    rate: float | None = Field(description="a second, lately")
    seconds_left: float | None = Field(description="by that rate; null where it is unknown")
    result: dict[str, Any] | None
    error: str | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None


class JobPage(Document):
    """Jobs, the newest first."""

    items: list[JobDocument]
    next_cursor: str | None


class HnswBody(Document):
    """How a graph is built."""

    m: int | None = Field(None, ge=2, le=128, description="links of a point")
    ef_construct: int | None = Field(None, ge=4, le=2048, description="candidates for each link")


class ReindexBody(Document):
    """What another index is to be like; what is absent stays as it is."""

    embedder: str | None = Field(None, description="name, with ?option=value&…")
    quantization: Literal["int8", "none"] | None = None
    hnsw: HnswBody = HnswBody(m=None, ef_construct=None)
    promote: Literal["auto", "manual"] = "auto"
    force: bool = Field(False, description="promote it however it is; the failed numbers are kept")


class ForceBody(Document):
    """Whether to pass over numbers that are not good enough."""

    force: bool = False


class GenerationDetail(GenerationDocument):
    """A generation with its progress, and the numbers of its last check."""

    state: Literal["building", "active", "standby", "retired"]
    quantization: str | None
    index_options: dict[str, Any]
    products: int | None = Field(description="null once it is retired, like the next three")
    pending: int | None
    indexed: int | None
    quarantined: int | None
    created_at: datetime
    promoted_at: datetime | None
    retired_at: datetime | None
    dropped_at: datetime | None
    quality: dict[str, Any] | None = Field(description="each number, its bound and its verdict")


class GenerationPage(Document):
    """All generations, the newest first."""

    items: list[GenerationDetail]
    next_cursor: str | None


class Health(Document):
    """Whether the process is there, and whether each part it needs is."""

    status: Literal["ok", "ready"]
    checks: dict[str, str] = {}
