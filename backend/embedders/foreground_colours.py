"""The colours of the product, in Lab: a soft histogram over what differs from the border.

`colour` counts what is not white, in HSV, for `efficientnet-lite0`. Here the ground may have any
colour: it is the median of the border. A colour is shared out among the eight nearest bins, so two
shades on either side of a bin's edge stay alike.
"""

from __future__ import annotations

from functools import cache
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from backend.embedders import FloatArray
from backend.embedders.pixels import Pixels, normalise

LIGHTNESSES, CHROMAS, HUES = 6, 4, 10
SIZE: Final = LIGHTNESSES * CHROMAS * HUES
LARGEST_CHROMA: Final = 80.0  # a stronger colour counts as this
DIFFERENCE: Final = 9.0  # from the ground, in Lab: what is nearer is ground
SPREAD: Final = 0.45  # sigma of the weights' Gaussian in half sides
SKIN: Final = 0.35  # weight of a pixel that may be skin
FEWEST: Final = 0.02  # if less than this share is foreground, all of the image counts
STEP: Final = 4  # every fourth pixel of every fourth row is counted
FIRST: Final = 2  # the row and column that counting begins with
BITS: Final = 5  # of each channel

RECIPE: Final = {
    "bins": [LIGHTNESSES, CHROMAS, HUES],
    "largest_chroma": LARGEST_CHROMA,
    "difference": DIFFERENCE,
    "spread": SPREAD,
    "skin": SKIN,
    "fewest": FEWEST,
    "step": STEP,
    "first": FIRST,
    "bits": BITS,
}
"""All constants that change a histogram, for the fingerprint."""

Floats: TypeAlias = npt.NDArray[np.float32]
Integers: TypeAlias = npt.NDArray[np.intp]


def foreground_colours(pixels: Pixels) -> FloatArray:
    """Count the foreground's colours: (n, SIZE) float32, square-rooted, L2-normalised."""
    return histograms_of(pixels[:, FIRST::STEP, FIRST::STEP])


def histograms_of(sample: Pixels) -> FloatArray:
    """Count as above, of images of which each STEP-th pixel is left: (n, SIZE) float32."""
    count = len(sample)
    levels = sample.astype(np.intp) >> (8 - BITS)
    codes = (levels[..., 0] << 2 * BITS) | (levels[..., 1] << BITS) | levels[..., 2]
    lab, skin, bins, shares = _tables()
    weights = _weigh(lab[codes]) * np.where(skin[codes], np.float32(SKIN), np.float32(1))
    counts = weights.nonzero()  # most pixels of a catalogue image are ground
    images, code = counts[0][:, None], codes[counts]
    counted = np.bincount(
        (bins[code] + images * SIZE).ravel(),
        (shares[code] * weights[counts][:, None]).ravel(),
        count * SIZE,
    )
    return normalise(np.sqrt(counted.reshape(count, SIZE)))


def _weigh(lab: Floats) -> Floats:
    """Weigh pixels (n, height, width, 3): 0 in the ground, most in the middle."""
    border = np.concatenate([lab[:, 0], lab[:, -1], lab[:, :, 0], lab[:, :, -1]], axis=1)
    ground = np.median(border, axis=1)[:, None, None]
    foreground = np.linalg.norm(lab - ground, axis=-1) > DIFFERENCE
    foreground |= foreground.mean(axis=(1, 2), keepdims=True) < FEWEST
    height, width = lab.shape[1:3]
    rows, columns = np.linspace(-1, 1, height)[:, None], np.linspace(-1, 1, width)
    centre = np.exp(-(rows**2 + columns**2) / (2 * SPREAD**2)).astype(np.float32)
    return np.where(foreground, centre, np.float32(0))


@cache
def _tables() -> tuple[Floats, npt.NDArray[np.bool_], Integers, Floats]:
    """Return, for every colour of BITS bits a channel: Lab, skin, its eight bins and shares."""
    levels = (np.arange(1 << BITS) << (8 - BITS)) + (1 << (7 - BITS))  # the middles
    rgb = np.stack(np.meshgrid(levels, levels, levels, indexing="ij"), axis=-1).reshape(-1, 3)
    lab = _to_lab(rgb / 255)
    lightness, chroma = lab[:, 0], np.hypot(lab[:, 1], lab[:, 2])
    hue = np.arctan2(lab[:, 2], lab[:, 1]) / (2 * np.pi) % 1
    is_skin = (lightness > 40) & (lightness < 88) & (chroma > 12) & (chroma < 45)
    is_skin &= (hue > 0.08) & (hue < 0.2)
    bins, shares = _share_out(lightness / 100, np.minimum(chroma / LARGEST_CHROMA, 1), hue)
    return lab.astype(np.float32), is_skin, bins, shares.astype(np.float32)


def _share_out(
    lightness: npt.NDArray[np.float64],
    chroma: npt.NDArray[np.float64],
    hue: npt.NDArray[np.float64],
) -> tuple[Integers, npt.NDArray[np.float64]]:
    """Return the eight nearest bins of colours, and what share of each belongs to them: (n, 8)."""
    axes = []
    steps = ((lightness, LIGHTNESSES - 1, LIGHTNESSES), (chroma, CHROMAS - 1, CHROMAS))
    for value, scale, count in (*steps, (hue, HUES, HUES)):
        low = np.floor(value * scale).astype(np.intp)
        share = value * scale - low
        is_circle = scale == count
        high = (low + 1) % count if is_circle else np.minimum(low + 1, count - 1)
        axes.append(((low % count, 1 - share), (high, share)))
    bins, shares = [], []
    for light, light_share in axes[0]:
        for strong, strong_share in axes[1]:
            for tone, tone_share in axes[2]:
                # a grey has no hue: all of them share its first bin
                bins.append((light * CHROMAS + strong) * HUES + np.where(strong == 0, 0, tone))
                shares.append(light_share * strong_share * tone_share)
    return np.stack(bins, axis=1), np.stack(shares, axis=1)


def _to_lab(rgb: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Convert sRGB from 0 to 1, (n, 3), to Lab by the white of D65."""
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    to_xyz = np.array(
        [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    )
    xyz = linear @ to_xyz.T / to_xyz.sum(axis=1)
    root = np.where(xyz > 216 / 24389, np.cbrt(xyz), (24389 / 27 * xyz + 16) / 116)
    x, y, z = root.T
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=1)
