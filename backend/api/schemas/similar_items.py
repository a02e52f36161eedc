"""Answers with similar items, as the OpenAPI document describes them."""

from __future__ import annotations

from typing import Literal, TypeAlias

from pydantic import BaseModel, Field

from backend.api.schemas.document import Document
from backend.api.schemas.experiment import ExperimentMeta
from backend.api.schemas.list_words import GROUP_SIZE, MATCH, MATCH_SCORE, NEXT_CURSOR, RESTRICTED
from backend.api.schemas.problem import BatchProblem
from backend.api.schemas.product import Product
from backend.api.schemas.shaping import (
    BOOSTED,
    PINNED_BY,
    RELAXED,
    RELAXED_ITEM,
)
from backend.api.schemas.unknown_attributes import (
    UNKNOWN,
    UnknownAttribute,
)
from backend.filters import Scalar
from backend.merchandising.rule_set import Action
from backend.queue.progress import State
from backend.vectors import SearchMode


class ScorePart(Document):
    """A part of the vectors, and what it adds to the score: weight times similarity."""

    name: str = Field(description="look, colour; whole where the vectors have no parts")
    similarity: float = Field(description="cosine of this part of query and product")
    weight: float = Field(ge=0, le=1, description="the weights of all parts add up to 1")


class RuleActed(Document):
    """A rule that has acted on an item."""

    id: int
    action: Action


class CategoryPlace(Document):
    """The place of a product among those of its category, by similarity to the query."""

    field: str = Field(description="article_type, sub_category or master_category")
    value: str
    place: int = Field(ge=1, description="1 is the most similar one, whatever the filter")
    products: int | None = Field(
        description="of the category, without the query's; null where the store cannot count"
    )
    percentile: float | None = Field(
        ge=0, le=100, description="which share of the others is less similar, in percent"
    )


class Explanation(Document):
    """Why a product is an answer."""

    parts: list[ScorePart]
    rules: list[RuleActed] = Field([], description="the rules that have acted on it")
    shared: dict[str, Scalar] | None = Field(
        None,
        description="fields and attributes in which it has the value of the query product; absent "
        "for a query without a product",
    )
    category: CategoryPlace | None = Field(
        None,
        description="absent without a category, and where it is not among the 200 nearest products "
        "of all, nor among those of the categories of this list",
    )


class Neighbour(Document):
    """A product that looks like the query."""

    sku: str
    score: float = Field(
        ge=-1, le=1, description="similarity: the sum over the parts of weight times cosine"
    )
    match: float | None = Field(None, ge=0, le=1, description=MATCH)
    product: Product
    explain: Explanation | None = Field(None, description="only where it is asked for")
    group_size: int | None = Field(None, ge=1, description=GROUP_SIZE)
    boost: float | None = Field(None, description=BOOSTED)
    relaxed: list[str] | None = Field(None, description=RELAXED_ITEM)
    pinned_by: int | None = Field(None, description=PINNED_BY)


class RuleEffect(RuleActed):
    """A rule that holds for a list, and how many products it has pinned, hidden or moved."""

    products: int


class NotPinned(Document):
    """A product that a rule pins, and that this list does not show for that."""

    id: int = Field(description="of the rule")
    sku: str | None
    reason: str


class RulesMeta(Document):
    """What rules have done to a list."""

    hidden: int = Field(description="products that were near enough, and are hidden")
    acted: list[RuleEffect]
    not_pinned: list[NotPinned]


class ClauseEffect(Document):
    """How many products do not pass the filter by a field."""

    clause: str = Field(description="a field of the filter, of a placement's, or of `restrict`")
    products: int


class LeftOutMeta(Document):
    """Which clauses left products out that are as similar as those of the list."""

    looked_at: int = Field(
        description="the nearest products, as far as the last item of a full list; 200 at most"
    )
    clauses: list[ClauseEffect] = Field(
        description="a product that fails several clauses counts for each of them"
    )


class PlacementMeta(Document):
    """The placement whose settings the list has."""

    name: str
    version: int


RegionKind: TypeAlias = Literal[
    "dress",
    "hat",
    "long-sleeve",
    "outerwear",
    "trousers",
    "shirt",
    "shoes",
    "shorts",
    "skirt",
    "t-shirt",
    "other",
]


class ImageRegion(Document):
    """A part of the query image that shows a thing."""

    box: list[float] = Field(
        min_length=4,
        max_length=4,
        description="left, top, right, bottom as fractions of the upright image, as `box` takes it",
    )
    confidence: float = Field(ge=0, le=1, description="that this is a thing")
    kind: RegionKind


class SimilarMeta(BaseModel):
    """How the answer was found."""

    embedder: str
    fingerprint: str
    search_mode: SearchMode = Field(
        description="plain: the graph was searched; acorn: also through points that the filter "
        "excludes; exact: all points that pass the filter were compared"
    )
    took_ms: float
    coverage: float = Field(
        ge=0, le=1, description="share of the catalogue that the index holds: below 1 it is filling"
    )
    index_lags: bool = Field(
        description="fewer items than `limit` came, since products have changed after indexing"
    )
    colour: float | None = Field(
        None,
        ge=0,
        description="how much colour counts here, as `colour` says it; null: the vectors have no "
        "part for colour",
    )
    query_state: State | None = Field(None, description="state of the query product")
    image_kind: Literal["catalogue", "photograph"] | None = Field(
        None,
        description="what the query image is; a photograph is compared with the products of its "
        "class first; absent where the embedder does not tell",
    )
    regions: list[ImageRegion] | None = Field(
        None,
        description="parts of the query image that a client can offer, and send back as `box`; the "
        "surest first, five at most; absent beside `box`, and for embedders that do not look",
    )
    compared: list[float] | None = Field(
        None,
        min_length=4,
        max_length=4,
        description="the part of a query image that was compared, as `box` takes it: its first "
        "region, where the image is pasted together; absent: all of it, or the given `box`. "
        "`box=0,0,1,1` compares all of it",
    )
    restricted: dict[str, list[str]] | None = Field(None, description=RESTRICTED)
    relaxed: list[str] | None = Field(None, description=RELAXED)
    min_match_score: float | None = Field(None, description=MATCH_SCORE)
    placement: PlacementMeta | None = None
    unknown_attributes: list[UnknownAttribute] | None = Field(None, description=UNKNOWN)
    experiment: ExperimentMeta | None = Field(
        None, description="where `user` or `session` is given, and an experiment splits this list"
    )
    rules: RulesMeta | None = Field(None, description="only where `explain` is given")
    left_out: LeftOutMeta | None = Field(None, description="only where `explain` is given")


class SimilarAnswer(Document):
    """Similar items, best first, without the query product. Events name `recommendation_id`."""

    items: list[Neighbour]
    next_cursor: str | None = Field(description=NEXT_CURSOR)
    recommendation_id: str
    generation: int
    request_id: str
    meta: SimilarMeta


class SimilarBatchItem(Document):
    """What looks like one of the products, or why that cannot be said."""

    sku: str
    status: int = Field(description="200, or that of the problem")
    items: list[Neighbour] | None = Field(None, description="best first; absent with a problem")
    recommendation_id: str | None = Field(None, description="absent with a problem")
    query_state: State | None = Field(None, description="state of this product")
    index_lags: bool | None = Field(
        None, description="fewer items than `limit` came, since products have changed"
    )
    restricted: dict[str, list[str]] | None = Field(None, description=RESTRICTED)
    relaxed: list[str] | None = Field(None, description=RELAXED)
    min_match_score: float | None = Field(None, description=MATCH_SCORE)
    rules: RulesMeta | None = Field(None, description="only where `explain` is given")
    left_out: LeftOutMeta | None = Field(None, description="only where `explain` is given")
    problem: BatchProblem | None = None


class SimilarBatchMeta(BaseModel):
    """How all the answers were found."""

    embedder: str | None = None
    fingerprint: str | None = None
    search_mode: SearchMode | None = None
    took_ms: float
    coverage: float | None = Field(None, ge=0, le=1)
    placement: PlacementMeta | None = None
    unknown_attributes: list[UnknownAttribute] | None = Field(None, description=UNKNOWN)
    experiment: ExperimentMeta | None = Field(
        None, description="where `user` or `session` is given, and an experiment splits these lists"
    )


class SimilarBatchAnswer(Document):
    """The answer for each sku, in the order of the request, all of one generation."""

    items: list[SimilarBatchItem]
    generation: int | None = Field(description="null where no product could be searched by")
    request_id: str
    meta: SimilarBatchMeta
