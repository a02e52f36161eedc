"""The examples that a body names: products, products that wait to be embedded, and images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from backend.api import image_examples, waiting_examples
from backend.api.schemas import Json
from backend.api.schemas.recommendation import MOST_IMAGES, RecommendationBody
from backend.database.models import Generation
from backend.errors import LookalikeError, NoExample
from backend.recommendations.examples import Resolved
from backend.recommendations.history import Example
from backend.vectors import Vector


@dataclass(frozen=True, kw_only=True)
class NamedExamples:
    """Examples that can be used, and those that cannot.

    `vectors` are those of examples that no index holds. `fault` is one of the host, for which a
    waiting product was not embedded.
    """

    examples: Sequence[Example]
    vectors: Mapping[int, Vector]
    unresolved: Mapping[str, str]  # {sku: state}
    unresolved_images: Sequence[Json] | None  # None: no image is named
    fault: LookalikeError | None

    def check_usable(self) -> None:
        """Raise NoExample if examples cannot be used; if that is the host's fault, what it was."""
        images = [it["image_uri"] for it in self.unresolved_images or ()]
        if unusable := [*self.unresolved, *images]:
            raise self.fault or NoExample(
                f"none of the examples can be used: {', '.join(unusable)[:500]}"
            )


def embed(generation: Generation, body: RecommendationBody, named: Resolved) -> NamedExamples:
    """Return all examples of a body, of which `named` are the products.

    Together at most MOST_IMAGES images are embedded, those that the body names first. Raises as
    `image_examples.embed` does.
    """
    images = image_examples.embed(generation, body)
    tried = len(images.vectors) + len(images.unresolved)
    waiting = waiting_examples.embed(generation, named.waiting, most=MOST_IMAGES - tried)
    return NamedExamples(
        examples=[*named.examples, *images.examples, *waiting.examples],
        vectors={**named.vectors, **images.vectors, **waiting.vectors},
        unresolved={
            sku: state for sku, state in named.unresolved.items() if sku not in waiting.skus
        },
        unresolved_images=images.unresolved if tried else None,
        fault=waiting.fault,
    )
