"""An image gives the same vector in every colour space and format that its file is written in."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from support.colour_profiles import GRID, photographs, plain, written_in

from backend import embedders
from backend.embedders import Embedder
from backend.images import ImageLimits
from backend.images.decoder_pool import DecoderPool

PHOTOGRAPHS = photographs(4)
LEAST = 0.97
LOSSY = {("linear", "JPEG"): 0.96}
"""A JPEG in linear light has lost dark shades before it is read (0.966 for the darkest)."""


@pytest.fixture(scope="module")
def pool() -> Iterator[DecoderPool]:
    with DecoderPool(1, limits=ImageLimits()) as pool:
        yield pool


@pytest.fixture(scope="module")
def embedder() -> Embedder:
    return embedders.load("lookalike-fashion")


@pytest.mark.parametrize(("space", "format"), GRID)
def test_an_image_in_another_space_is_the_same_image(
    space: str, format: str, pool: DecoderPool, embedder: Embedder
) -> None:
    files = [written_in(image, space, format) for image in PHOTOGRAPHS]
    if None in files:
        pytest.skip(f"there is no {space} in {format}")
    plainly = [plain(image, space, format) for image in PHOTOGRAPHS]

    def embed(sources: list[bytes | None]) -> object:
        found = [pool.decode_one(s, target=embedder.input_size) for s in sources if s is not None]
        return embedder.embed([decoded.image for decoded in found])

    cosines = (embed(files) * embed(plainly)).sum(axis=1)  # type: ignore[operator]

    assert cosines.min() >= LOSSY.get((space, format), LEAST)
