"""Similar items and facets: the query, and the answer in JSON."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection
from dataclasses import replace
from typing import Annotated, Final, Literal, TypeAlias

import orjson
from pydantic import AfterValidator, BaseModel, Field, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from backend.api.schemas import Json
from backend.api.schemas.batch import check_batch
from backend.api.schemas.document import BodyLimits, Document
from backend.api.schemas.event import Name
from backend.api.schemas.experiment import ExperimentMeta
from backend.api.schemas.filters import Filter
from backend.api.schemas.image_query import (
    BOX,
    IMAGE_URI,
    NO_IMAGE,
    BoxNumbers,
    ImageUri,
    read_box,
)
from backend.api.schemas.placement import with_placement
from backend.api.schemas.problem import BatchProblem
from backend.api.schemas.product import MEMBERS, Product, ProductMember
from backend.api.schemas.query import MOST_WORDS, QueryReader
from backend.api.schemas.shaping import (
    BOOSTED,
    LEAST_MATCH,
    PINNED_BY,
    PLACEMENT,
    RELAXED,
    RELAXED_ITEM,
    SHAPING_MEMBERS,
    ShapedBody,
    read_shaping,
    with_members,
)
from backend.api.schemas.unknown_attributes import (
    PAGE_META,
    UNKNOWN,
    PageMeta,
    UnknownAttribute,
)
from backend.api.schemas.written_products import ProductWriter
from backend.catalogue.drafts import Sku
from backend.catalogue.texts import storable
from backend.events.outcomes import id_of_similar
from backend.filters import Scalar, Schema
from backend.images.box import Box
from backend.merchandising.rule_set import Action
from backend.queue.progress import State
from backend.search import found
from backend.search.paging import MOST_SHOWN, Position
from backend.search.query import MAX_LIMIT, Answer, Query
from backend.search.query_text import LONGEST
from backend.search.statements import SHOWN
from backend.vectors import SearchMode
from backend.vectors.image_points import MOST_IMAGES

IMAGE: Final = (
    "number of the product's image that is compared, from 1; absent: the first that has a vector"
)


COLOUR: Final = (
    "how much colour counts, from 0 (the same thing in any colour) to 1 (as much as all else); "
    "absent: as the embedder has it, which `meta.colour` says"
)
TEXT: Final = "what the products look like, in English words, such as `red floral dress`"
TEXT_WEIGHT: Final = (
    "how much the text counts beside an image or a product, from 0 to 1; 0.5 if absent"
)
EXPLAIN: Final = (
    "whether each item says how similar the parts of its vector are, what it shares with the query "
    "product, its place in its category, and which rules have acted; `meta` says what was left out"
)


GROUP_SIZE: Final = (
    "where the list is grouped: how many indexed products that pass the filter are in this group; "
    "null where the vector store does not allow to count"
)
MATCH: Final = (
    "how probable it is that a shopper calls it the same kind, by the shop's own labels; absent "
    "while the generation has no curve, and beside `text` or `colour`"
)
MATCH_SCORE: Final = (
    "where `min_match` is given: the score that it stands for, 2 where no score has it; null where "
    "there is no curve, so that it does nothing"
)
CURSOR: Final = (
    "the `next_cursor` of the page before; all else as in its request, except for `limit`, `fields`"
    " and `explain`"
)
CURSOR_OF_IMAGE: Final = f"{CURSOR}, and without the image, which the cursor stands for"
GENERATION: Final = (
    "the `generation` of an earlier answer: search in the same one, for batches that belong "
    "together; 410 if it is gone"
)
NEXT_CURSOR: Final = (
    "for the next page, which repeats none of the products shown so far; null: nothing follows, or "
    f"{MOST_SHOWN} have been shown"
)
USER: Final = "for whom the list is, as events name them: experiments split by it"
VISIT: Final = "the visit, as events name it: experiments split by it where no `user` is named"
RESTRICTED: Final = "where `restrict` is given: the values that the products may have, by field"


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


Text: TypeAlias = Annotated[str, AfterValidator(storable), Field(min_length=1, max_length=LONGEST)]


class SimilarBody(ShapedBody):
    """A query by a product or an image, by words, or by both: one of these is needed.

    A further page of a query by an image has none of them, only its `cursor`.
    """

    cursor: str | None = Field(None, description=CURSOR_OF_IMAGE)
    text: Text | None = Field(None, description=TEXT)
    image_uri: ImageUri | None = Field(None, description=IMAGE_URI)
    sku: Sku | None = Field(None, validate_default=True)
    text_weight: float = Field(0.5, ge=0, le=1, description=TEXT_WEIGHT)
    limit: int = Field(10, ge=1, le=MAX_LIMIT, description="how many at most; 10 if absent")
    exclude: list[Sku] = Field([], max_length=MOST_WORDS, description="skus that are left out")
    fields: list[ProductMember] = Field(
        [], max_length=MOST_WORDS, description="members of the products that are wanted"
    )
    placement: str | None = Field(None, description=PLACEMENT)
    user: Name | None = Field(None, description=USER)
    session: Name | None = Field(None, description=VISIT)
    min_score: float | None = Field(None, ge=-1, le=1)
    min_match: float | None = Field(None, ge=0, le=1, description=LEAST_MATCH)
    image: int | None = Field(None, ge=1, le=MOST_IMAGES, description=IMAGE)
    box: BoxNumbers | None = Field(None, description=BOX)
    colour: float | None = Field(None, ge=0, le=1, description=COLOUR)
    explain: bool = Field(False, description=EXPLAIN)
    filter: Filter = {}

    @field_validator("sku")
    @classmethod
    def _check_given(cls, sku: str | None, info: ValidationInfo) -> str | None:
        text, image, cursor = (info.data.get(it, "") for it in ("text", "image_uri", "cursor"))
        if sku is None and text is None and image is None and cursor is None:
            raise PydanticCustomError("one", "must be given, or image_uri or text")
        if sku is not None and image is not None:
            raise PydanticCustomError("both", "may not be given beside image_uri")
        return sku

    @field_validator("box")
    @classmethod
    def _check_image(cls, box: list[float] | None, info: ValidationInfo) -> list[float] | None:
        given = (info.data.get("image_uri", ""), info.data.get("cursor", ""))
        if box is not None and given == (None, None):
            raise PydanticCustomError("alone", "{reason}", {"reason": NO_IMAGE})
        return box

    def query(self, fields: Schema) -> Query:
        """Return the query, without its product; `fields` are those that can be filtered by."""
        return Query(
            limit=self.limit,
            where=self.filter,
            schema=fields,
            exclude=self.exclude,
            min_score=self.min_score,
            min_match=self.min_match,
            image=self.image,
            box=None if self.box is None else Box.of(self.box),
            text=self.text,
            text_weight=self.text_weight,
            colour=self.colour,
            explain=self.explain,
            shaping=self.shaping,
        )


class SimilarBatchBody(ShapedBody):
    """One query for many products of the catalogue, such as those of one page of a shop."""

    skus: list[Sku]
    limit: int = Field(
        10, ge=1, le=MAX_LIMIT, description="how many for each at most; 10 if absent"
    )
    exclude: list[Sku] = Field([], max_length=MOST_WORDS, description="skus that are left out")
    fields: list[ProductMember] = Field(
        [], max_length=MOST_WORDS, description="members of the products that are wanted"
    )
    placement: str | None = Field(None, description=PLACEMENT)
    user: Name | None = Field(None, description=USER)
    session: Name | None = Field(None, description=VISIT)
    min_score: float | None = Field(None, ge=-1, le=1)
    min_match: float | None = Field(None, ge=0, le=1, description=LEAST_MATCH)
    colour: float | None = Field(None, ge=0, le=1, description=COLOUR)
    explain: bool = Field(False, description=EXPLAIN)
    generation: int | None = Field(None, ge=1, le=2**53, description=GENERATION)
    filter: Filter = {}

    @field_validator("skus")
    @classmethod
    def _check_number(cls, skus: list[str], info: ValidationInfo[BodyLimits]) -> list[str]:
        return check_batch(skus, info)

    def query(self, fields: Schema, *, placement: str | None, tried: int | None) -> Query:
        """Return the query, without its products; `fields` are those that can be filtered by.

        `placement` is the one whose defaults are taken, `tried` the generation of the shopper's arm
        where the body names none.
        """
        generation = tried if self.generation is None else self.generation
        query = Query(
            limit=self.limit,
            where=self.filter,
            schema=fields,
            exclude=self.exclude,
            min_score=self.min_score,
            min_match=self.min_match,
            shows_images=shows_images(self.fields),
            colour=self.colour,
            explain=self.explain,
            shaping=self.shaping,
            after=None if generation is None else Position(generation_id=generation),
        )
        return with_placement(query, placement, self.model_fields_set)


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
    meta: PageMeta | None = Field(None, description=PAGE_META)


def read_query(
    reader: QueryReader,
    fields: Schema,
    *,
    scored: bool = True,
    compared: bool = True,
    with_image: bool = False,
    place: Callable[[str | None], str | None] | None = None,
) -> tuple[Query, list[str]]:
    """Read a query and the wanted members of products; call it last, since it finishes the reader.

    Without `scored`, there is no `min_score`; without `compared`, no `restrict`; and `box` only
    `with_image`. `place` returns the placement whose defaults are taken for the one that is named.
    Raises RequestError if anything was wrong.
    """
    given, placement = reader.names, reader.text("placement")
    limit = reader.integer("limit", default=10, least=1, most=MAX_LIMIT)
    exclude = reader.skus("exclude")
    wanted = reader.words_among("fields", MEMBERS)
    min_score = reader.number("min_score", least=-1, most=1) if scored else None
    min_match = reader.number("min_match", least=0, most=1) if scored else None
    text = _text(reader) if scored else None
    text_weight = reader.number("text_weight", least=0, most=1) if scored else None
    colour = reader.number("colour", least=0, most=1) if scored else None
    explain = reader.flag("explain")
    box = read_box(reader) if with_image else None
    shaping = read_shaping(reader, fields, compared=compared)
    where = reader.where(fields)
    reader.finish()
    query = Query(
        limit=limit,
        where=where,
        schema=fields,
        exclude=exclude,
        min_score=min_score,
        min_match=min_match,
        shows_images=shows_images(wanted),
        text=text,
        text_weight=0.5 if text_weight is None else text_weight,
        colour=colour,
        explain=explain,
        shaping=shaping,
        box=box,
    )
    return with_placement(query, place(placement) if place else placement, given), wanted


def _text(reader: QueryReader) -> str | None:
    text = reader.text("text")
    if text is not None and not 1 <= len(text) <= LONGEST:
        reader.refuse("text", f"takes 1 to {LONGEST} characters")
        return None
    return text


def shows_images(fields: Collection[str]) -> bool:
    """Tell whether an answer with these members of products, by default all, has their images."""
    return not fields or "images" in fields


def read_both(
    body: SimilarBody,
    reader: QueryReader,
    fields: Schema,
    *,
    place: Callable[[str | None], str | None],
) -> tuple[Query, list[str]]:
    """Read a query from a body and from the query string, as `read_query` does.

    `place` is as there, for the placement of either. Raises RequestError for what stands in both.
    """
    given, asked = body.model_fields_set - {"sku", "image_uri", "cursor"}, reader.names
    for name in given & reader.names:
        reader.refuse(name, "the body has it too")
    with_image = body.image_uri is not None or (body.sku is None and body.cursor is not None)
    placed = body.placement is not None
    query, wanted = read_query(
        reader, fields, with_image=with_image, place=(lambda _: None) if placed else place
    )
    if body.filter and query.where:
        reader.refuse(next(iter(query.where)), "the body has a filter; only one place can")
        reader.finish()
    if body.filter and reader.checks_attributes:
        reader.check_attributes(body.filter)
        reader.finish()
    ours = body.query(fields)
    own = given - {"fields", "filter", "placement", "user", "session"} - SHAPING_MEMBERS
    named = {name: getattr(ours, name) for name in own}
    named["shaping"] = with_members(query.shaping, body)
    named |= {"where": ours.where or query.where}
    fields_of_products = body.fields or wanted
    named["shows_images"] = shows_images(fields_of_products)
    query = replace(query, **named)
    placement = place(body.placement) if placed else None
    return with_placement(query, placement, given | asked), fields_of_products


def write_answer(
    answer: Answer,
    *,
    coverage: float,
    fields: Collection[str] = (),
    next_cursor: str | None = None,
    request_id: str | None = None,
    took_ms: float | None = None,
) -> Json:
    """Return similar items as JSON, best first."""
    meta = answer.meta | {"coverage": round(coverage, 4)}
    if took_ms is not None:
        meta["took_ms"] = took_ms
    writer = ProductWriter(fields)
    return {
        "items": [_write_item(item, writer) for item in answer.items],
        "next_cursor": next_cursor,
        "recommendation_id": id_of_similar(answer.generation.id, os.urandom(16).hex()),
        "generation": answer.generation.id,
        "request_id": request_id,
        "meta": meta,
    }


class EachAnswer:
    """Writes the answers of one request for many products. A product is written once."""

    def __init__(self, fields: Collection[str]) -> None:
        self._writer = ProductWriter(fields)
        self._written: dict[int, Json] = {}

    def write(self, sku: str, answer: Answer) -> Json:
        """Return what looks like one product."""
        written = {
            "sku": sku,
            "status": 200,
            "items": [self._item(item) for item in answer.items],
            "recommendation_id": id_of_similar(answer.generation.id, os.urandom(16).hex()),
            "query_state": answer.meta["query_state"],
            "index_lags": answer.meta["index_lags"],
        }
        shaped = ("restricted", "relaxed", "min_match_score", "rules", "left_out")
        return written | {name: answer.meta[name] for name in shaped if name in answer.meta}

    def _item(self, item: found.Neighbour) -> Json:
        row = item.product
        if row.id not in self._written:
            self._written[row.id] = product_of_item(item, self._writer)
        written = {"sku": row.sku, "score": item.score, "product": self._written[row.id]}
        return written | shaped_members(item) | _explained(item)


def shaped_members(item: found.Neighbour) -> Json:
    """Return what an item shows of how its list was shaped."""
    shown: Json = {} if item.group_size is None else {"group_size": item.group_size}
    if item.match is not None:
        shown["match"] = round(item.match, 4)
    if item.boost is not None:
        shown["boost"] = round(item.boost, 6)
    if item.pinned_by is not None:
        shown["pinned_by"] = item.pinned_by
    return shown | ({"relaxed": list(item.relaxed)} if item.relaxed else {})


def rules_of_item(item: found.Neighbour) -> list[Json]:
    """Return the rules that have acted on an item, as JSON."""
    return [rule._asdict() for rule in item.rules]


def product_of_item(item: found.Neighbour, writer: ProductWriter) -> Json:
    """Return the product of an item as JSON, with the members that are wanted."""
    row = item.product
    columns = dict(zip(SHOWN, row, strict=False))
    if isinstance(columns["attributes"], str):  # JSON as SQLite keeps it: it need not be read
        columns["attributes"] = orjson.Fragment(columns["attributes"])
    return writer.write(
        columns,
        item.state,
        item.reason,
        digest=row.image_digest,
        images=item.images,
        errors=item.image_errors,
    )


def _write_item(item: found.Neighbour, writer: ProductWriter) -> Json:
    product = product_of_item(item, writer)
    written = {"sku": item.product.sku, "score": item.score, "product": product}
    is_plain = item.match is None and item.group_size is None and item.boost is None
    if not is_plain or item.pinned_by is not None or item.relaxed:
        written |= shaped_members(item)
    if item.parts is not None:
        written |= _explained(item)
    return written


def _explained(item: found.Neighbour) -> Json:
    if item.parts is None:
        return {}
    parts = [part._asdict() for part in item.parts]
    return {"explain": {"parts": parts, "rules": rules_of_item(item), **_reasons(item)}}


def _reasons(item: found.Neighbour) -> Json:
    shown: Json = {} if item.shared is None else {"shared": dict(item.shared)}
    if item.rank is not None:
        percentile = item.rank.percentile
        rounded = None if percentile is None else round(percentile, 2)
        shown["category"] = {**item.rank._asdict(), "percentile": rounded}
    return shown
