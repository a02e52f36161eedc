"""Examples for recommendations that wait to be embedded: each is embedded for the request."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from backend import errors
from backend.api.context import services
from backend.api.image_slots import image_slot
from backend.api.problems import RequestError
from backend.database.models import Generation
from backend.errors import ImageError, LookalikeError
from backend.images.local_files import is_remote
from backend.images.store import SCHEME
from backend.recommendations.examples import WaitingExample
from backend.recommendations.history import Example
from backend.vectors import Vector

HOST_FAULTS: Final = (
    errors.DecoderBusy,
    errors.DecoderUnavailable,
    errors.EmbedderBusy,
    errors.EmbedderFailed,
    errors.ModelMismatch,
    RequestError,  # too many images at once
)
"""What speaks for trying again, and says nothing about the image."""


@dataclass
class EmbeddedExamples:
    """The examples that were embedded, their vectors, and the first fault of the host."""

    examples: list[Example] = field(default_factory=list)
    vectors: dict[int, Vector] = field(default_factory=dict)
    skus: set[str] = field(default_factory=set)
    fault: LookalikeError | None = None


def embed(
    generation: Generation, waiting: Sequence[WaitingExample], *, most: int
) -> EmbeddedExamples:
    """Embed the first images of waiting products, as images of queries are embedded.

    An image that cannot be used leaves its product as it is: the worker will say why. After a fault
    of the host no further image is tried, since the client waits meanwhile.
    """
    found = EmbeddedExamples()
    for one in waiting[:most]:
        try:
            found.vectors[one.example.product_id] = _vector(generation, one.image_uri)
        except ImageError:
            continue
        except HOST_FAULTS as error:
            found.fault = error
            break
        found.examples.append(one.example)
        found.skus.add(one.sku)
    return found


def _vector(generation: Generation, uri: str) -> Vector:
    found = services()
    with image_slot():
        if is_remote(uri) and not uri.startswith(f"{SCHEME}://"):
            data = found.fetch_image(uri)
        else:
            data = found.image_opener.read(uri, limits=found.limits)
        return found.query_encoder.encode(generation, data)
