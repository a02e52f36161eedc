"""An image gives the same vector in every colour space and format that its file is written in."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache

import pytest
from support.colour_profiles import GRID, photographs, plain, written_in

from backend import embedders
from backend.embedders import Embedder
from backend.images import ImageLimits
from backend.images.decoder_pool import DecoderPool
from backend.settings import Settings
from backend.vectors import Vector

Embed = Callable[[list[bytes]], Vector]
PHOTOGRAPHS = photographs(5, size=(480, 640))[1:]  # the last one is dark red
LEAST = 0.97


@pytest.fixture(scope="module")
def pool() -> Iterator[DecoderPool]:
    with DecoderPool(1, limits=ImageLimits()) as pool:
        yield pool


@pytest.fixture(scope="module")
def embedder() -> Embedder:
    return embedders.load(Settings.model_fields["embedder"].default)


@pytest.fixture(scope="module")
def embed(pool: DecoderPool, embedder: Embedder) -> Embed:
    """Images as files -> their vectors."""

    def embed(files: list[bytes]) -> Vector:
        found = [pool.decode_one(file, target=embedder.input_size) for file in files]
        return embedder.embed([decoded.image for decoded in found])

    return embed


@pytest.fixture(scope="module")
def plain_vectors(embed: Embed) -> Callable[[bool, str], Vector]:
    """Vectors of the images without a profile, in grey or in colours; computed once a format."""

    @cache
    def vectors(grey: bool, format: str) -> Vector:
        return embed([plain(image, "grey" if grey else "sRGB", format) for image in PHOTOGRAPHS])

    return vectors


@pytest.mark.parametrize(("space", "format"), GRID)
def test_an_image_in_another_space_is_the_same_image(
    space: str, format: str, embed: Embed, plain_vectors: Callable[[bool, str], Vector]
) -> None:
    written = [written_in(image, space, format) for image in PHOTOGRAPHS]
    files = [file for file in written if file is not None]
    if not files:
        pytest.skip(f"there is no {space} in {format}")

    cosines = (embed(files) * plain_vectors(space == "grey", format)).sum(axis=1)

    assert cosines.min() >= LEAST
