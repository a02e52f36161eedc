"""What an operator reads: status, quarantine, jobs, health."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError
from typing_extensions import TypeAliasType

from backend.api.schemas.document import EITHER, Document, RequestBody
from backend.api.schemas.generation import GenerationDocument
from backend.catalogue.drafts import Sku
from backend.vectors import SearchMode


class FilterRecall(Document):
    """How often filters of one shape were used, and the recall of a sample of them."""

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
    caught_up: int = Field(description="points that changed during the build")
    stall_seconds: float = Field(description="no query was answered while the graph was loaded")
    peak_bytes: int = Field(description="memory of the process that built it")


class ShardFailure(Document):
    """Why the last build failed; the index before it still answers."""

    at: datetime
    reason: str


class ShardDocument(Document):
    """The embedded index of the active generation."""

    optimized: bool = Field(description="whether it has a graph; else all points are compared")
    dirty: int = Field(description="points written since it was built; they are not in the graph")
    building: bool
    built: ShardBuilt | None
    failure: ShardFailure | None


class UnnamedImages(Document):
    """Images and vectors that no product names any more; they are deleted after a time of grace."""

    images: int
    bytes: int
    vectors: int
    checked_at: datetime | None = Field(description="null before everything was looked through")


class WaitingProducts(Document):
    """Products that wait for the host (a server, a device, a disk), and are tried again."""

    reason: str = Field(description="code and message, as in the quarantine")
    products: int


class WorkerDocument(Document):
    """A process that works on queue or jobs."""

    name: str = Field(description="its host and process id")
    embeds: bool
    applies: bool = Field(description="it writes the index and runs jobs")
    skew_seconds: float = Field(description="its host's clock less the database's")
    seen_seconds_ago: float


class Status(Document):
    """Counts of the active generation: products = pending + indexed + quarantined."""

    products: int
    pending: int
    awaited: int = Field(
        description="of the pending ones: their images are not there yet, and are looked for again"
    )
    indexed: int
    quarantined: int
    removing: int
    oldest_pending_seconds: float | None
    counted_seconds_ago: float = Field(description="0 unless the catalogue takes long to count")
    generation: GenerationDocument | None
    waiting: list[WaitingProducts] = Field(
        description="of the pending products, those that wait for the host; most frequent first"
    )
    shard: ShardDocument | None = Field(description="null where a Qdrant server holds the index")
    jobs: dict[str, int]
    unnamed: UnnamedImages
    filter_recall: list[FilterRecall] = Field(description="the most frequent shapes first")
    clock_skew_seconds: float = Field(
        description="this host's clock less the database's, which alone decides what is due"
    )
    workers: list[WorkerDocument] = Field(description="seen lately; empty without BROKER_URL")
    warnings: list[str] = Field(description="clocks that differ by more than a few seconds")
    version: str


class QuarantinedProduct(Document):
    """A product that cannot be indexed as it is, and why."""

    sku: str
    reason: str
    failures: int
    image_uri: str | None
    image: int | None = Field(
        description="null for a whole product; the number, from 1, of a single image that cannot "
        "be used, while the product is indexed by its others"
    )


class QuarantineBody(RequestBody):
    """Which products in quarantine are meant: some, or all of them."""

    skus: list[Sku] = Field([], max_length=1000)
    everything: bool = Field(False, description="every product in quarantine")

    @model_validator(mode="after")
    def _check(self) -> QuarantineBody:
        if bool(self.skus) == self.everything:
            raise PydanticCustomError(EITHER, "needs either skus or everything")
        return self


class QuarantineAnswer(Document):
    """What was done with products in quarantine."""

    skus: list[str] = Field(description="the products with which it was done")
    not_quarantined: list[str] = Field(description="named ones that are not in quarantine")


class QuarantinePage(Document):
    """The quarantine, in the order in which the products were added."""

    items: list[QuarantinedProduct]
    next_cursor: str | None


JobState = TypeAliasType("JobState", Literal["queued", "running", "done", "failed"])


class JobDocument(Document):
    """An operator's long task."""

    id: int
    verb: str
    arguments: dict[str, Any]
    state: JobState
    done: int
    total: int | None
    rate: float | None = Field(description="steps per second, recently")
    seconds_left: float | None = Field(description="by that rate; null where it is unknown")
    result: dict[str, Any] | None
    error: str | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    cancelled_at: datetime | None = Field(
        description="when its end was asked for; it is `failed` once it has ended"
    )


class JobPage(Document):
    """Jobs, the newest first."""

    items: list[JobDocument]
    next_cursor: str | None


class PurgeBody(RequestBody):
    """Which products to take down."""

    skus: list[Sku] = Field(min_length=1, max_length=1000)
    everywhere: bool = Field(
        False, description="take the same image contents away from other products too"
    )


class IndexCounts(Document):
    """How much of the catalogue the active index holds."""

    points: int
    products: int = Field(description="without those in quarantine that never had a vector")
    coverage: float = Field(ge=0, le=1, description="the share of the products; 1: all, or none")


class Health(Document):
    """Whether the process is alive, and whether each part that it needs works."""

    status: Literal["ok", "ready"]
    checks: dict[str, str] = {}
    ages: dict[str, float | None] = Field(
        {}, description="seconds since each check ended; null: never yet"
    )
    index: IndexCounts | None = None
    degraded: list[str] = Field(
        [], description="checks that fail, though the process is ready: few requests need the part"
    )
