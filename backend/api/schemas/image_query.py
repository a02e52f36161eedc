"""An image that a request names by its address, and the region of it that is compared."""

from __future__ import annotations

from typing import Annotated, Final, TypeAlias

from pydantic import AfterValidator, Field

from backend.api.schemas.filters import read_number
from backend.api.schemas.query import QueryReader
from backend.catalogue.draft_images import LONGEST_URI
from backend.catalogue.texts import storable
from backend.images.box import RULE, Box

IMAGE_URI: Final = (
    "address of an image on a host that LOOKALIKE_IMAGE_HOSTS allows; it is fetched and not kept"
)
BOX: Final = f"only this region of the image is compared: {RULE}"
NO_IMAGE: Final = "is for an image: the request brings none"


def _check_box(numbers: list[float]) -> list[float]:
    Box.of(numbers)
    return numbers


ImageUri: TypeAlias = Annotated[
    str, AfterValidator(storable), Field(min_length=1, max_length=LONGEST_URI)
]
BoxNumbers: TypeAlias = Annotated[
    list[Annotated[float, Field(ge=0)]],
    Field(min_length=4, max_length=4),
    AfterValidator(_check_box),
]


def read_box(reader: QueryReader) -> Box | None:
    """Return the parameter `box`, four numbers between commas."""
    words = reader.words("box")
    if not words:
        return None
    try:
        return Box.of([read_number(word) for word in words])
    except ValueError as error:
        reader.refuse("box", str(error))
        return None
