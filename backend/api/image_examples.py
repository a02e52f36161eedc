"""Examples for recommendations that are images: fetched, embedded, and not kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from backend.api.context import services
from backend.api.image_addresses import check_query_addresses
from backend.api.image_slots import image_slot
from backend.api.schemas import Json
from backend.api.schemas.recommendation import ExampleBody, RecommendationBody
from backend.database.models import Generation
from backend.errors import ImageError
from backend.events.kinds import TASTE, Kind
from backend.recommendations.history import Example
from backend.vectors import Vector


@dataclass
class ImageExamples:
    """Examples with ids below 0, which no product has, their vectors, and those without one."""

    examples: list[Example] = field(default_factory=list)
    vectors: dict[int, Vector] = field(default_factory=dict)
    unresolved: list[Json] = field(default_factory=list)


def embed(generation: Generation, body: RecommendationBody) -> ImageExamples:
    """Return the images of a body. A named image weighs as much as a liked product.

    Raises RequestError for an address that is not allowed, and what `encode` raises except for
    what is wrong with one image.
    """
    given = [(it, 1.0) for it in _images(body.positive)]
    given += [(it, -1.0) for it in _images(body.negative)]
    check_query_addresses(
        {
            f"/{member}/{place}/image_uri": one.image_uri
            for member, examples in (("positive", body.positive), ("negative", body.negative))
            for place, one in enumerate(examples)
            if isinstance(one, ExampleBody) and one.image_uri
        },
        services().settings,
    )
    found = ImageExamples()
    for number, (one, sign) in enumerate(given, 1):
        try:
            found.vectors[-number] = _vector(generation, one)
        except ImageError as error:
            reason = {"state": error.code, "reason": error.message}
            found.unresolved.append({"image_uri": one.image_uri, **reason})
        else:
            weight = sign * TASTE[Kind.LIKE] * one.weight
            found.examples.append(Example(-number, weight, Kind.LIKE))
    return found


def weights_of_skus(given: Sequence[str | ExampleBody]) -> Mapping[str, float]:
    """Return the weights of those examples that are products."""
    pairs = ((it, 1.0) if isinstance(it, str) else (it.sku, it.weight) for it in given)
    return {sku: weight for sku, weight in pairs if sku is not None}


def _images(given: Sequence[str | ExampleBody]) -> list[ExampleBody]:
    return [it for it in given if isinstance(it, ExampleBody) and it.image_uri is not None]


def _vector(generation: Generation, one: ExampleBody) -> Vector:
    found = services()
    with image_slot():
        data = found.fetch_image(str(one.image_uri))
        return found.query_encoder.encode(generation, data, one.region)
