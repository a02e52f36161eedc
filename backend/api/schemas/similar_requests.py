"""Requests for similar items: their bodies, and how a query is read."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace
from typing import Annotated, Any, TypeAlias

from pydantic import AfterValidator, Field, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from backend.api.schemas.batch import check_batch
from backend.api.schemas.document import BodyLimits
from backend.api.schemas.event import Name
from backend.api.schemas.filters import Filter
from backend.api.schemas.image_query import (
    BOX,
    IMAGE_URI,
    NO_IMAGE,
    BoxNumbers,
    ImageUri,
    read_box,
)
from backend.api.schemas.list_words import (
    COLOUR,
    CURSOR_OF_IMAGE,
    EXPLAIN,
    GENERATION,
    IMAGE,
    TEXT,
    TEXT_WEIGHT,
    USER,
    VISIT,
)
from backend.api.schemas.placement import with_placement
from backend.api.schemas.product import MEMBERS, ProductMember
from backend.api.schemas.query import MOST_WORDS, QueryReader
from backend.api.schemas.shaping import (
    LEAST_MATCH,
    PLACEMENT,
    SHAPING_MEMBERS,
    ShapedBody,
    read_shaping,
    with_members,
)
from backend.catalogue.drafts import Sku
from backend.catalogue.texts import storable
from backend.filters import Schema
from backend.images.box import Box
from backend.search.paging import Position
from backend.search.query import MAX_LIMIT, Query
from backend.search.query_text import LONGEST
from backend.vectors.image_points import MOST_IMAGES

Text: TypeAlias = Annotated[str, AfterValidator(storable), Field(min_length=1, max_length=LONGEST)]


class _ListedBody(ShapedBody):
    """What both queries may say of each list of products."""

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
    colour: float | None = Field(None, ge=0, le=1, description=COLOUR)
    explain: bool = Field(False, description=EXPLAIN)
    filter: Filter = {}

    def _query(self, fields: Schema) -> Query:
        return Query(
            limit=self.limit,
            where=self.filter,
            schema=fields,
            exclude=self.exclude,
            min_score=self.min_score,
            min_match=self.min_match,
            colour=self.colour,
            explain=self.explain,
            shaping=self.shaping,
        )


class SimilarBody(_ListedBody):
    """A query by a product or an image, by words, or by both: one of these is needed.

    A further page of a query by an image has none of them, only its `cursor`.
    """

    cursor: str | None = Field(None, description=CURSOR_OF_IMAGE)
    text: Text | None = Field(None, description=TEXT)
    image_uri: ImageUri | None = Field(None, description=IMAGE_URI)
    sku: Sku | None = Field(None, validate_default=True)
    text_weight: float = Field(0.5, ge=0, le=1, description=TEXT_WEIGHT)
    image: int | None = Field(None, ge=1, le=MOST_IMAGES, description=IMAGE)
    box: BoxNumbers | None = Field(None, description=BOX)

    @field_validator("sku")
    @classmethod
    def _check_given(cls, sku: str | None, info: ValidationInfo) -> str | None:
        text, image, cursor = (info.data.get(it, "") for it in ("text", "image_uri", "cursor"))
        if sku is None and text is None and image is None and cursor is None:
            raise PydanticCustomError("one", "give sku, image_uri or text")
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
        return replace(
            self._query(fields),
            image=self.image,
            box=None if self.box is None else Box.of(self.box),
            text=self.text,
            text_weight=self.text_weight,
        )


class SimilarBatchBody(_ListedBody):
    """One query for many products of the catalogue, such as those of one page of a shop."""

    skus: list[Sku]
    limit: int = Field(
        10, ge=1, le=MAX_LIMIT, description="how many for each at most; 10 if absent"
    )
    generation: int | None = Field(None, ge=1, le=2**53, description=GENERATION)

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
        query = replace(
            self._query(fields),
            shows_images=shows_images(self.fields),
            after=None if generation is None else Position(generation_id=generation),
        )
        return with_placement(query, placement, self.model_fields_set)


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
    scores = _scores(reader) if scored else {}
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
        shows_images=shows_images(wanted),
        explain=explain,
        shaping=shaping,
        box=box,
        **scores,
    )
    return with_placement(query, place(placement) if place else placement, given), wanted


def _scores(reader: QueryReader) -> dict[str, Any]:
    """Read what only a list with scores has, as members of `Query`."""
    found = {
        "min_score": reader.number("min_score", least=-1, most=1),
        "min_match": reader.number("min_match", least=0, most=1),
        "text": _text(reader),
        "text_weight": reader.number("text_weight", least=0, most=1),
        "colour": _colour(reader),
    }
    return {name: value for name, value in found.items() if value is not None}


def _text(reader: QueryReader) -> str | None:
    text = reader.text("text")
    if text is not None and not 1 <= len(text) <= LONGEST:
        reader.refuse("text", f"takes 1 to {LONGEST} characters")
        return None
    return text


def _colour(reader: QueryReader) -> float | None:
    advice = ", which is how much colour counts; base_colour filters by a colour"
    return reader.number("colour", least=0, most=1, advice=advice)


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
