"""Images whose numbers are near to light itself: their dark tones, which eight bits leave coarse.

In linear light the number 1 of 255 is sRGB's 13, and 2 is 22. The texture of dark cloth falls
between such steps, and so it does in two channels of a red shirt. Two things bring most of it back.
Averages of neighbours lie between the steps, so everything is computed in floating point. And the
channels of an object rise and fall together: what a channel has lost is taken from the mean of
all, as far as rounding can have moved it.

lcms is asked first whether a profile is sound; here are only those of a curve for each channel and
a matrix.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image

from backend.images.colour import COARSE

Floats: TypeAlias = npt.NDArray[np.float32]
Table: TypeAlias = npt.NDArray[np.float64]

MOST_PIXELS: Final = 1 << 20
"""What is larger after it has been shrunk is for people to look at, and stays as it is."""

BLOCK: Final = 2
"""Side of the blocks of pixels that the window is made of."""

REACH: Final = 3
"""Blocks on each side of a pixel's own in which channels are compared."""

NOISE: Final = 1 / 36
"""Variance of the mean of three numbers that were rounded to whole ones."""

MOST_MOVED: Final = 0.75
"""Steps by which a number is corrected at most: half of one for rounding, more for a JPEG."""

LEVELS: Final = 1 << 14
TO_SRGB: Final = np.array(
    [
        [3.1341, -1.6174, -0.4907],
        [-0.9788, 1.9163, 0.0335],
        [0.0720, -0.2290, 1.4057],
    ]
)
"""From XYZ under D50, in which profiles state their colours, to linear sRGB."""


@dataclass(frozen=True)
class Space:
    """A space of RGB: the light of each 16,384th of a channel's range, and its colours."""

    lights: tuple[Floats, Floats, Floats]
    to_srgb: Floats


@lru_cache(maxsize=8)
def read_space(profile: bytes) -> Space | None:
    """Return the space of a profile with coarse dark tones; None for any other profile.

    Where black is not 0, lcms compensates for it.
    """
    try:
        tags = _tags(profile)
        if b"A2B0" in tags or b"A2B1" in tags:  # these come before curves and matrix
            return None
        curves = [_curve(tags[name]) for name in (b"rTRC", b"gTRC", b"bTRC")]
        columns = [_xyz(tags[name]) for name in (b"rXYZ", b"gXYZ", b"bXYZ")]
    except (struct.error, LookupError, ValueError, ZeroDivisionError):
        return None
    first = _encode(np.array([curve[LEVELS // 255] for curve in curves])) * 255
    if first.max() < COARSE or any(curve[0] for curve in curves):
        return None
    red, green, blue = (curve.astype(np.float32) for curve in curves)
    matrix = TO_SRGB @ np.array(columns).T
    return Space((red, green, blue), matrix.astype(np.float32))


def convert(image: Image.Image, space: Space, size: tuple[int, int]) -> Image.Image | None:
    """Shrink an RGB image to `size`, (width, height), and convert it to sRGB; None if too large."""
    width, height = size
    if width * height > MOST_PIXELS:
        return None
    bands = [band.convert("F") for band in image.split()]
    if size != image.size:
        bands = [band.resize(size, Image.Resampling.BICUBIC) for band in bands]
    return _to_srgb(_restore([np.asarray(band) for band in bands]), space)


def _restore(channels: Sequence[Floats]) -> list[Floats]:
    """Bring each channel nearer to a straight line of the mean of all, window by window.

    That is a guided filter (He, Sun and Tang), computed for blocks. Where the mean varies less than
    rounding alone explains, a channel is smoothed instead.
    """
    guide: Floats = sum(channels[1:], channels[0]) / np.float32(len(channels))
    mean = _around(guide)
    variance = np.maximum(_around(guide * guide) - mean * mean, 0)
    restored = []
    for channel in channels:
        own = _around(channel)
        slope = ((_around(guide * channel) - mean * own) / (variance + NOISE)).astype(np.float32)
        offset = (own - slope * mean).astype(np.float32)
        found = _spread(slope, guide.shape) * guide + _spread(offset, guide.shape)
        np.minimum(found, channel + np.float32(MOST_MOVED), out=found)
        np.maximum(found, channel - np.float32(MOST_MOVED), out=found)
        restored.append(np.clip(found, 0, 255, out=found))
    return restored


def _around(values: Floats) -> Floats:
    """Return the mean of the window around each block."""
    return _smooth(np.asarray(Image.fromarray(values).reduce(BLOCK)))


def _spread(blocks: Floats, shape: tuple[int, ...]) -> Floats:
    """Return smoothed values of blocks for each pixel."""
    size = (shape[1], shape[0])
    return np.asarray(Image.fromarray(_smooth(blocks)).resize(size, Image.Resampling.BILINEAR))


def _smooth(blocks: Floats) -> Floats:
    side = 2 * REACH + 1
    padded = np.pad(blocks, REACH, mode="edge")
    rows = np.lib.stride_tricks.sliding_window_view(padded, side, axis=0).mean(axis=-1)
    windows = np.lib.stride_tricks.sliding_window_view(rows, side, axis=1)
    return np.ascontiguousarray(windows.mean(axis=-1), dtype=np.float32)


def _to_srgb(channels: Sequence[Floats], space: Space) -> Image.Image:
    scale = np.float32((LEVELS - 1) / 255)
    lights = [
        table[(channel * scale + np.float32(0.5)).astype(np.uint16)]
        for channel, table in zip(channels, space.lights, strict=True)
    ]
    bands = []
    for row in space.to_srgb:
        light = sum(share * one for share, one in zip(row, lights, strict=True))
        index = np.clip(light, 0, 1) * np.float32(LEVELS - 1) + np.float32(0.5)
        bands.append(Image.fromarray(_srgb_levels()[index.astype(np.uint16)]))
    return Image.merge("RGB", bands)


@lru_cache(maxsize=1)
def _srgb_levels() -> npt.NDArray[np.uint8]:
    """Return the level of sRGB, 0 to 255, of each 16,384th of light."""
    light = np.linspace(0, 1, LEVELS)
    levels: npt.NDArray[np.uint8] = np.rint(255 * _encode(light)).astype(np.uint8)
    return levels


def _encode(light: Table) -> Table:
    """Return sRGB's numbers for light, both from 0 to 1."""
    dark = 12.92 * light
    bright = 1.055 * np.maximum(light, 0.0031308) ** (1 / 2.4) - 0.055
    return np.where(light <= 0.0031308, dark, bright)


# --- what a profile says -------------------------------------------------------------------------


def _tags(profile: bytes) -> dict[bytes, bytes]:
    (count,) = struct.unpack_from(">I", profile, 128)
    found = {}
    for number in range(min(count, 100)):
        name, start, length = struct.unpack_from(">4sII", profile, 132 + 12 * number)
        found[name] = profile[start : start + length]
    return found


def _xyz(tag: bytes) -> list[float]:
    if tag[:4] != b"XYZ ":
        raise ValueError("no colour")
    return [value / 65536 for value in struct.unpack_from(">3i", tag, 8)]


def _curve(tag: bytes) -> Table:
    """Return the light of each 16,384th of a channel's range. Raises ValueError, struct.error."""
    at = np.linspace(0, 1, LEVELS)
    with np.errstate(all="ignore"):
        light = _parametric(tag, at) if tag[:4] == b"para" else _table(tag, at)
    return np.clip(np.nan_to_num(light), 0, 1)


def _table(tag: bytes, at: Table) -> Table:
    kind, count = struct.unpack_from(">4s4xI", tag)
    if kind != b"curv" or 12 + 2 * count > len(tag):
        raise ValueError("no curve")
    if count == 0:
        return at
    entries = np.frombuffer(tag, ">u2", count, offset=12).astype(np.float64)
    if count == 1:
        return _power(at, float(entries[0] / 256))
    return np.interp(at, np.linspace(0, 1, count), entries / 65535)


PARAMETERS: Final = (1, 3, 4, 5, 7)
"""How many numbers each kind of parametric curve has."""


def _parametric(tag: bytes, at: Table) -> Table:
    """Return a curve of the kinds that ICC.1 numbers 0 to 4."""
    (kind,) = struct.unpack_from(">H", tag, 8)
    count = PARAMETERS[kind]
    numbers = [value / 65536 for value in struct.unpack_from(f">{count}i", tag, 12)]
    gamma, a, b, c, d, e, f = numbers + [0.0] * (7 - count)
    if kind == 0:
        return _power(at, gamma)
    power = _power(np.maximum(a * at + b, 0), gamma)
    if kind in (1, 2):  # c is the constant that kind 2 adds
        return np.asarray(np.where(at >= -b / a, power + c, c))
    return np.asarray(np.where(at >= d, power + e, c * at + f))


def _power(base: Table, exponent: float) -> Table:
    return np.asarray(base**exponent, np.float64)
