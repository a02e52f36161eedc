"""Lay the thing that an image shows on white, as a catalogue shows it.

A network says roughly how much each point belongs to the thing. Colours sharpen that: those of what
is taken for the thing and those of its ground are counted, and each pixel is judged by both, three
times. In the end a guided filter moves the edges to those of the image
(https://arxiv.org/abs/1505.00996), whose guide is the brightness.
"""

from __future__ import annotations

from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image

SIDES: Final = (126, 168)  # width and height that pixels are judged at
BINS: Final = 12  # of each channel
ROUNDS: Final = 3
COLOUR_WEIGHT: Final = 0.7  # of the colours beside the mask, both as logits
UNSEEN: Final = 0.01  # share of the counts that is spread over all colours
REACH: Final = 4  # of the guided filter's window, in pixels of SIDES
NOISE: Final = 1e-3  # variance of brightness, from 0 to 1, that is no edge
CLEAR, FULL = 0.3, 0.7  # shares below which a pixel is white, and above which it is kept
FRAME: Final = (3, 4)  # width to height of what is returned, as most catalogue images are
FILLED: Final = 0.88  # share of the frame's width or height that the thing takes
FEWEST: Final = 50  # pixels; a smaller thing is not cut out

Floats: TypeAlias = npt.NDArray[np.floating]


def lay_on_white(image: Image.Image, mask: Floats) -> Image.Image:
    """Return the thing in the middle of a white FRAME; the image as it is if nothing is left of it.

    `mask` (rows, columns) lies over all of the image and holds logits.
    """
    share = _resized(_sharpened(image, mask), image.size)
    alpha = ((share - CLEAR) / (FULL - CLEAR)).clip(0, 1)
    thing = alpha > 0.5
    if thing.sum() < FEWEST:
        return image
    pixels = np.asarray(image, np.float32) * alpha[..., None] + 255 * (1 - alpha[..., None])
    return _framed(Image.fromarray(pixels.astype(np.uint8)).crop(_edges(thing)))


def _framed(thing: Image.Image) -> Image.Image:
    """Return an image in the middle of a white one whose sides are as FRAME, in its own scale."""
    across, down = FRAME
    unit = max(thing.width / across, thing.height / down) / FILLED
    frame = Image.new("RGB", (round(unit * across), round(unit * down)), "white")
    frame.paste(thing, ((frame.width - thing.width) // 2, (frame.height - thing.height) // 2))
    return frame


def _edges(thing: npt.NDArray[np.bool_]) -> tuple[int, int, int, int]:
    """Return left, top, right and bottom of what is true."""
    rows, columns = np.flatnonzero(thing.any(axis=1)), np.flatnonzero(thing.any(axis=0))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def _sharpened(image: Image.Image, mask: Floats) -> Floats:
    """Return how much each pixel of an image of SIDES belongs to the thing, from 0 to 1."""
    small = np.asarray(image.resize(SIDES, Image.Resampling.BILINEAR), np.float32) / 255
    levels = np.minimum((small * BINS).astype(np.intp), BINS - 1)
    colours = np.ravel_multi_index(tuple(np.moveaxis(levels, 2, 0)), (BINS,) * 3)
    logits = _resized(mask, SIDES)
    share = _sigmoid(logits)
    for _ in range(ROUNDS):
        likelier = np.log(_count(colours, share) / _count(colours, 1 - share))
        share = _sigmoid(logits + COLOUR_WEIGHT * _mean_around(likelier[colours], 1))
    return _guided(np.asarray(small.mean(axis=2), np.float32), share).clip(0, 1)


def _count(colours: npt.NDArray[np.intp], weights: Floats) -> Floats:
    """Return the share of each colour, smoothed over the neighbours in each channel."""
    counted = np.bincount(colours.ravel(), weights.ravel(), BINS**3)
    counts = np.asarray(counted.reshape((BINS,) * 3), np.float32)
    for axis in range(3):
        beside = np.roll(counts, 1, axis) + np.roll(counts, -1, axis)
        counts = np.asarray((2 * counts + beside) / 4, np.float32)
    shares = counts.ravel() / max(float(counts.sum()), 1e-6)
    return np.asarray((shares + UNSEEN / BINS**3) / (1 + UNSEEN), np.float32)


def _guided(guide: Floats, values: Floats) -> Floats:
    """Return values that are, window by window, a linear function of the guide."""
    mean, own = _mean_around(guide, REACH), _mean_around(values, REACH)
    variance = _mean_around(guide * guide, REACH) - mean * mean
    slope = (_mean_around(guide * values, REACH) - mean * own) / (variance + NOISE)
    offset = own - slope * mean
    return _mean_around(slope, REACH) * guide + _mean_around(offset, REACH)


def _mean_around(values: Floats, reach: int) -> Floats:
    """Return the mean of the square window around each value."""
    side = 2 * reach + 1
    for axis in (0, 1):
        width = [(0, 0), (0, 0)]
        width[axis] = (reach + 1, reach)
        sums = np.cumsum(np.pad(values, width, mode="edge"), axis=axis, dtype=np.float64)
        count = values.shape[axis]
        ends = np.take(sums, range(side, side + count), axis=axis)
        values = np.asarray((ends - np.take(sums, range(count), axis=axis)) / side, np.float32)
    return values


def _resized(values: Floats, size: tuple[int, int]) -> Floats:
    """Return values for each pixel of an image of `size` (width, height)."""
    return np.asarray(Image.fromarray(values).resize(size, Image.Resampling.BILINEAR))


def _sigmoid(logits: Floats) -> Floats:
    return np.asarray(1 / (1 + np.exp(-logits.clip(-30, 30))), np.float32)
