"""Baselines without a network: the pixels themselves, and their colours."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from PIL.Image import Image

from backend.embedders import Block, Compute, FloatArray, colour, register
from backend.embedders.fingerprints import fingerprint
from backend.embedders.options import parse_choice, parse_whole_number
from backend.embedders.pca import Pca, arrays_of, load_pca, pca_options
from backend.embedders.pixels import normalise, to_pixels
from backend.errors import UnknownEmbedder

BATCH: Final = 32
LONGEST_SIDE: Final = 256
GREY: Final = np.array([0.299, 0.587, 0.114], np.float32)
"""Weights of red, green and blue in luma, by Rec. ITU-R BT.601."""
COLOUR_INPUT: Final = (224, 168)  # (height, width): as in `efficientnet-lite0`


class RawPixels:
    """Embeds an image as its pixels, from 0 to 1, row by row."""

    blocks: tuple[Block, ...] = ()

    def __init__(
        self,
        input_size: tuple[int, int],
        *,
        grey: bool,
        pca: Pca | None = None,
        name: str,
        batch_size: int = 0,
    ) -> None:
        """Prepare to embed images stretched to `input_size` (height, width)."""
        self.name = name
        self.input_size = input_size
        self.batch_size = batch_size or BATCH
        height, width = input_size
        self._features = height * width * (1 if grey else 3)
        if pca:
            pca.check(self._features)
        self.size = len(pca.components) if pca else self._features
        self._grey = grey
        self._pca = pca
        recipe = {"family": "raw-pixels", "input_size": input_size, "grey": grey}
        self.fingerprint = fingerprint(recipe, arrays_of(pca))

    def embed(self, images: Sequence[Image]) -> FloatArray:
        """Embed images: (n, size) float32, L2-normalised, in input order."""
        pixels = to_pixels(images, self.input_size).astype(np.float32) / 255
        shown = pixels @ GREY if self._grey else pixels
        vectors = normalise(shown.reshape(len(images), self._features))
        return normalise(self._pca.project(vectors)) if self._pca else vectors


@register("raw-pixels")
def load_raw_pixels(
    variant: str,
    *,
    compute: Compute,
    height: str = "80",
    width: str = "60",
    grey: str = "no",
    pca: str = "none",
    whitening: str = "",
) -> RawPixels:
    """Make the embedder; sides are 1 to 256 pixels, `grey` is yes or no.

    `pca` is the path of one that was fitted on these pixels, `whitening` from 0 to 1. Raises
    UnknownEmbedder for other values, and WeightsUnavailable for a PCA that cannot be read.
    """
    sides = (parse_whole_number("height", height), parse_whole_number("width", width))
    if variant or not all(1 <= side <= LONGEST_SIDE for side in sides):
        raise UnknownEmbedder(f"raw-pixels takes sides of 1 to {LONGEST_SIDE} and no variant")
    is_grey = parse_choice("grey", grey, ("yes", "no")) == "yes"
    options = f"height={sides[0]}&width={sides[1]}&grey={grey}{pca_options(pca, whitening)}"
    return RawPixels(
        sides,
        grey=is_grey,
        pca=load_pca(pca, whitening),
        name=f"raw-pixels?{options}",
        batch_size=compute.batch_size,
    )


class ColourHistogram:
    """Embeds an image as the colours of its foreground."""

    name = "colour-histogram"
    input_size = COLOUR_INPUT
    size = colour.SIZE
    blocks: tuple[Block, ...] = ()

    def __init__(self, *, batch_size: int = 0) -> None:
        self.batch_size = batch_size or BATCH
        recipe = {"family": self.name, "input_size": COLOUR_INPUT, "colour": colour.RECIPE}
        self.fingerprint = fingerprint(recipe, {})

    def embed(self, images: Sequence[Image]) -> FloatArray:
        """Embed images: (n, 128) float32, L2-normalised, in input order."""
        return colour.colour_histograms(to_pixels(images, self.input_size))


@register("colour-histogram")
def load_colour_histogram(variant: str, *, compute: Compute) -> ColourHistogram:
    """Make the embedder: only the colour part of `efficientnet-lite0`. It has no options.

    Raises UnknownEmbedder for a variant.
    """
    if variant:
        raise UnknownEmbedder(f"colour-histogram has no variant {variant!r}")
    return ColourHistogram(batch_size=compute.batch_size)
