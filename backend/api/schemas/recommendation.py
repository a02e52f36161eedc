"""Recommendations in JSON: the body that asks for them, and the lists."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, TypeAlias

from pydantic import Field, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from backend.api.schemas.document import Document, RequestBody
from backend.api.schemas.event import Name
from backend.api.schemas.experiment import ExperimentMeta
from backend.api.schemas.filters import Filter
from backend.api.schemas.image_query import BOX, IMAGE_URI, NO_IMAGE, BoxNumbers, ImageUri
from backend.api.schemas.list_words import CURSOR, GROUP_SIZE, NEXT_CURSOR, RESTRICTED
from backend.api.schemas.product import Product, ProductMember
from backend.api.schemas.query import MOST_WORDS
from backend.api.schemas.shaping import (
    BOOSTED,
    PINNED_BY,
    PLACEMENT,
    RELAXED,
    RELAXED_ITEM,
    ShapedBody,
)
from backend.api.schemas.similar_items import PlacementMeta, RuleActed, RulesMeta
from backend.api.schemas.unknown_attributes import UNKNOWN, UnknownAttribute
from backend.catalogue.drafts import Sku
from backend.events.answers import ListName
from backend.images.box import Box
from backend.recommendations.listed_products import Reason
from backend.recommendations.lists import Strategy
from backend.search.query import MAX_LIMIT

MOST_EXAMPLES = 100
MOST_IMAGES = 5
"""Images that one request may name: each is fetched and embedded while the client waits."""


EXPLAIN_RULES = "whether each item says which rules have acted on it"


REASON = "why it is listed; a later release may add values"


class LeaveOut(StrEnum):
    """Which products of a shopper's history a list leaves out; its examples never occur in it."""

    SEEN = "seen"
    BOUGHT = "bought"
    NOTHING = "nothing"


class ExampleBody(RequestBody):
    """A product or an image as an example, and how much it counts beside the others."""

    image_uri: ImageUri | None = Field(None, description=IMAGE_URI)
    sku: Sku | None = Field(None, validate_default=True)
    box: BoxNumbers | None = Field(None, description=BOX)
    weight: float = Field(1.0, gt=0, le=100)

    @field_validator("sku")
    @classmethod
    def _check_given(cls, sku: str | None, info: ValidationInfo) -> str | None:
        if (sku is None) == (info.data.get("image_uri", "") is None):
            raise PydanticCustomError("one", "give either sku or image_uri")
        return sku

    @field_validator("box")
    @classmethod
    def _check_image(cls, box: list[float] | None, info: ValidationInfo) -> list[float] | None:
        if box is not None and info.data.get("image_uri", "") is None:
            raise PydanticCustomError("alone", "{reason}", {"reason": NO_IMAGE})
        return box

    @property
    def region(self) -> Box | None:
        """The region of the image that is compared."""
        return None if self.box is None else Box.of(self.box)


Examples: TypeAlias = Annotated[list[Sku | ExampleBody], Field(max_length=MOST_EXAMPLES)]


class RecommendationBody(ShapedBody):
    """For whom a list is: a shopper, a visit, examples, or several of these together."""

    user: Name | None = Field(None, description="a shopper, as events name them")
    session: Name | None = Field(None, description="a visit, as events name it")
    positive: Examples = Field(
        [],
        description="skus, or objects with `sku` or `image_uri`, and `weight`; together with "
        f"`negative` at most {MOST_IMAGES} images",
    )
    negative: Examples = Field(
        [], validate_default=True, description="what the list must not be like"
    )
    strategy: Strategy = Field(Strategy.CLUSTERS, strict=False)
    leave_out: LeaveOut = Field(LeaveOut.BOUGHT, strict=False)
    explore: float = Field(
        0.0, ge=0, le=1, description="share of the places for products nobody has looked at yet"
    )
    cursor: str | None = Field(None, description=CURSOR)
    limit: int = Field(10, ge=1, le=MAX_LIMIT, description="how many at most; 10 if absent")
    placement: str | None = Field(None, description=PLACEMENT)
    exclude: list[Sku] = Field([], max_length=MOST_WORDS, description="skus that are left out")
    explain: bool = Field(False, description=EXPLAIN_RULES)
    fields: list[ProductMember] = Field(
        [], max_length=MOST_WORDS, description="members of the products that are wanted"
    )
    filter: Filter = {}

    @field_validator("negative")
    @classmethod
    def _check_images(
        cls, negative: list[str | ExampleBody], info: ValidationInfo
    ) -> list[str | ExampleBody]:
        given = [*info.data.get("positive", ()), *negative]
        if sum(isinstance(it, ExampleBody) and it.image_uri is not None for it in given) > (
            MOST_IMAGES
        ):
            reason = f"a request may name {MOST_IMAGES} images at most"
            raise PydanticCustomError("images", "{reason}", {"reason": reason})
        return negative


class BecauseDocument(Document):
    """An example that contributed to a score."""

    sku: str
    share: float = Field(description="of the score, 0 to 1")


class RulesExplanation(Document):
    """Which rules have acted on an item."""

    rules: list[RuleActed]


class Recommended(Document):
    """A product of a list."""

    sku: str
    score: float = Field(ge=0, description="comparable within its reason, in this list only")
    reason: Reason | str = Field(description=REASON)
    because: list[BecauseDocument] = Field(description="the examples that contributed most")
    product: Product
    group_size: int | None = Field(None, ge=1, description=GROUP_SIZE)
    boost: float | None = Field(None, description=BOOSTED)
    relaxed: list[str] | None = Field(None, description=RELAXED_ITEM)
    pinned_by: int | None = Field(None, description=PINNED_BY)
    explain: RulesExplanation | None = Field(None, description="only where it is asked for")


class TasteDocument(Document):
    """A group of examples that look alike; it fills its share of the list."""

    share: float
    skus: list[str]


class Unresolved(Document):
    """An example that could not be used, and why."""

    sku: str
    state: str = Field(description="unknown, removed, or the state of a product without a vector")


class UnresolvedImage(Document):
    """An image that could not be used as an example, and why."""

    image_uri: str
    state: str = Field(description="a code of a problem, such as `not-an-image`")
    reason: str


class RecommendationMeta(Document):
    """How a list was made."""

    tastes: list[TasteDocument]
    restricted: dict[str, list[str]] | None = Field(None, description=RESTRICTED)
    relaxed: list[str] | None = Field(None, description=RELAXED)
    placement: PlacementMeta | None = None
    unknown_attributes: list[UnknownAttribute] | None = Field(None, description=UNKNOWN)
    experiment: ExperimentMeta | None = Field(None, description="that has split the request")
    rules: RulesMeta | None = Field(None, description="only where `explain` is given")
    took_ms: float


class RecommendationAnswer(Document):
    """A list, best first. Events name its `recommendation_id`."""

    items: list[Recommended]
    next_cursor: str | None = Field(description=NEXT_CURSOR)
    recommendation_id: str
    generation: int
    request_id: str
    unresolved: list[Unresolved]
    unresolved_images: list[UnresolvedImage] | None = Field(
        None, description="where examples are images: those that could not be used"
    )
    meta: RecommendationMeta


class ReplayedItem(Document):
    """A product as it was listed."""

    sku: str
    score: float
    reason: Reason | str = Field(description=REASON)
    cold: bool = Field(description="whether nobody had done anything with it")
    because: list[BecauseDocument]


class ReplayedAnswer(Document):
    """A list of the last day, and what was asked."""

    recommendation_id: str
    at: datetime
    list: ListName
    generation: int
    user: str | None
    session: str | None
    placement: str | None = Field(None, description="that the request named")
    experiment: str | None = None
    arm: str | None = Field(None, description="of the experiment")
    question: dict[str, Any] = Field(description="method, path, query, body")
    items: Sequence[ReplayedItem]


class ReplayedPage(Document):
    """Lists of the last day that were made for one shopper."""

    items: list[ReplayedAnswer]
    next_cursor: str | None
