"""The colours of the product: a histogram over the foreground of an image."""

from __future__ import annotations

from functools import cache
from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import Image

from backend.embedders import FloatArray
from backend.embedders.pixels import Pixels, normalise

HUES, SATURATIONS, VALUES = 8, 4, 4
SIZE: Final = HUES * SATURATIONS * VALUES
WHITE: Final = 245  # a pixel whose darkest channel reaches this is background
GREY: Final = 32  # a hue of less saturation or value is noise
SPREAD: Final = 0.35  # sigma of the weights' Gaussian in half sides: the edges show a model's skin
FEWEST: Final = 0.005  # if less than this share is foreground, the product is white: take all
STEP: Final = 3  # every third pixel of every third row is counted
BITS: Final = 6  # of each channel, that decide the bin

RECIPE: Final = {
    "bins": [HUES, SATURATIONS, VALUES],
    "white": WHITE,
    "grey": GREY,
    "spread": SPREAD,
    "fewest": FEWEST,
    "step": STEP,
    "bits": BITS,
}
"""All constants that change a histogram, for the fingerprint."""


def colour_histograms(pixels: Pixels) -> FloatArray:
    """Count the foreground's colours in HSV: (n, SIZE) float32, square-rooted, L2-normalised.

    The root makes the cosine of two histograms their Bhattacharyya coefficient.
    """
    sample = pixels[:, ::STEP, ::STEP]
    count = len(sample)
    red, green, blue = (sample[..., channel].astype(np.intp) >> (8 - BITS) for channel in range(3))
    bins = _table()[(red << 2 * BITS) | (green << BITS) | blue]
    bins += np.arange(0, count * SIZE, SIZE)[:, None, None]
    histograms = np.bincount(bins.ravel(), _weights(sample).ravel(), count * SIZE)
    return normalise(np.sqrt(histograms.reshape(count, SIZE)))


def _weights(sample: Pixels) -> npt.NDArray[np.float64]:
    """Weigh pixels: 0 in the background, most in the middle."""
    foreground = sample.min(axis=3) < WHITE
    foreground |= foreground.mean(axis=(1, 2), keepdims=True) < FEWEST
    centre = _centre(*sample.shape[1:3])
    return np.where(foreground, centre, 0)


@cache
def _centre(height: int, width: int) -> npt.NDArray[np.float64]:
    rows, columns = np.linspace(-1, 1, height)[:, None], np.linspace(-1, 1, width)
    weights: npt.NDArray[np.float64] = np.exp(-(rows**2 + columns**2) / (2 * SPREAD**2))
    return weights


@cache
def _table() -> npt.NDArray[np.intp]:
    """Return the bin of every colour of BITS bits a channel."""
    levels = (np.arange(1 << BITS) << (8 - BITS)) + (1 << (7 - BITS))  # the middles
    colours = np.stack(np.meshgrid(levels, levels, levels, indexing="ij"), axis=-1)
    hsv = Image.fromarray(colours.astype(np.uint8).reshape(1, -1, 3)).convert("HSV")
    hue, saturation, value = np.moveaxis(np.asarray(hsv, np.intp)[0], -1, 0)
    pale = saturation < GREY
    hues = (hue * HUES + 128) // 256 % HUES  # shifted by half a bin: red is one bin, not two
    hues = np.where(pale | (value < GREY), 0, hues)
    saturations = np.where(pale, 0, saturation * SATURATIONS // 256)
    bins = (hues * SATURATIONS + saturations) * VALUES + value * VALUES // 256
    return np.asarray(bins, np.intp)
