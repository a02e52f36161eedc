"""Simulated street: products cut out of catalogue images, on grounds of people's photographs.

Where each product lies is known, so regions can be learnt and judged without labels by hand.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random
from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageEnhance, ImageFilter

from backend.embedders.regions import Frame

TALL, WIDE = (336, 448), (448, 336)  # (width, height) of composites
NEAR: Final = 14  # levels of a channel between a pixel and its ground
SHADOW: Final = 30  # the same for a photograph
FAR, PLAIN = 40, 0.6  # a ground is plain if so much of the border is within so many levels
LEAST_SHARE, MOST_SHARE = 0.08, 0.85  # of a catalogue image that a usable product takes
LONGEST_EDGE: Final = 0.5  # share of a border that a usable product touches
TRIES: Final = 12  # places that are tried for a product beside others
FREE: Final = 0.08  # intersection over union that is allowed between two products

Bits = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Pasted:
    """A product on a composite."""

    box: Frame
    alpha: Floats  # (height, width) of the pasted part
    at: tuple[int, int]  # its left and upper edge in pixels


@dataclass(kw_only=True)
class Street:
    """A composite and the products on it."""

    image: Image.Image
    pasted: list[Pasted] = field(default_factory=list)

    def paste(
        self, cut: Image.Image, random: Random, *, scale: float, angle: float = 8
    ) -> Pasted | None:
        """Paste a product where there is room; None if there is none.

        `scale` is its share of the largest size that fits. It is turned by up to `angle` degrees.
        """
        width, height = self.image.size
        cut = cut.rotate(random.uniform(-angle, angle), Image.Resampling.BICUBIC, expand=True)
        factor = min(width / cut.width, height / cut.height) * scale
        cut = cut.resize((max(8, int(cut.width * factor)), max(8, int(cut.height * factor))))
        edges = cut.getchannel("A").point(lambda level: 255 * (level > 127)).getbbox()
        if edges is None:
            return None
        soft = cut.getchannel("A").filter(ImageFilter.GaussianBlur(random.uniform(0.5, 2)))
        for _ in range(TRIES):
            x, y = random.randint(0, width - cut.width), random.randint(0, height - cut.height)
            left, right = (x + edges[0]) / width, (x + edges[2]) / width
            top, bottom = (y + edges[1]) / height, (y + edges[3]) / height
            box = left, top, right, bottom
            if all(overlap(box, other.box) < FREE for other in self.pasted):
                self.image.paste(change_light(cut.convert("RGB"), random, 0.2), (x, y), soft)
                alpha = (np.asarray(soft) / 255).astype(np.float32)
                self.pasted.append(Pasted(box=box, alpha=alpha, at=(x, y)))
                return self.pasted[-1]
        return None

    def covered(self) -> Floats:
        """Return how much of each pixel the products cover, (height, width) from 0 to 1."""
        covered = np.zeros(self.image.size[::-1], np.float32)
        for pasted in self.pasted:
            (x, y), (height, width) = pasted.at, pasted.alpha.shape
            part = covered[y : y + height, x : x + width]
            np.maximum(part, pasted.alpha, out=part)
        return covered


def cut_out(image: Image.Image) -> Image.Image | None:
    """Cut the product out of a catalogue image, as RGBA; None where that is not possible.

    The ground is a smooth surface through the border. What is near to it and joined to the border
    is ground; so a white collar on a white ground stays, if it is surrounded.
    """
    rgb = image.convert("RGB")
    pixels = np.asarray(rgb, np.float32)
    near = np.abs(pixels - _surface(pixels)).max(axis=2) <= NEAR
    solid = _opened(~joined_to(near, _border(near.shape)))
    touched = max(side.mean() for side in (solid[0], solid[:, 0], solid[:, -1]))
    if not LEAST_SHARE < solid.mean() < MOST_SHARE or touched > LONGEST_EDGE:
        return None
    alpha = Image.fromarray((solid * 255).astype(np.uint8))
    rgb.putalpha(alpha)
    return rgb.crop(alpha.getbbox())


def find_thing(photograph: Image.Image) -> Bits | None:
    """Return where the thing is that a photograph shows on a plain ground; None: it is not plain.

    As for `cut_out`, with more tolerance for shadows; it has to lie in the middle, in one piece.
    """
    soft = photograph.convert("RGB").filter(ImageFilter.GaussianBlur(1))
    pixels = np.asarray(soft, np.float32)
    border = np.concatenate(list(_sides(pixels)))
    if (np.abs(border - np.median(border, axis=0)).max(axis=1) < FAR).mean() < PLAIN:
        return None
    far = np.abs(pixels - _surface(pixels)).max(axis=2) > SHADOW
    solid = _opened(_opened(~joined_to(~far, _border(far.shape))))
    thing = joined_to(solid, _middle(far.shape))
    left, top, right, bottom = box_of(thing) if thing.any() else (0.0, 0.0, 0.0, 0.0)
    is_whole = thing.sum() > 0.85 * solid.sum()
    fills = thing.mean() > 0.4 * (right - left) * (bottom - top) and 0.15 < thing.mean() < 0.85
    is_central = max(abs(left + right - 1), abs(top + bottom - 1)) < 0.3
    return thing if is_whole and fills and is_central else None


def box_of(mask: Bits) -> Frame:
    """Return the edges of what a mask covers, as fractions."""
    height, width = mask.shape
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    right, bottom = (columns[-1] + 1) / width, (rows[-1] + 1) / height
    return columns[0] / width, rows[0] / height, right, bottom


def lay_ground(photograph: Image.Image, random: Random, *, whole: bool) -> Image.Image:
    """Return a ground: a corner of a photograph made large, or all of it with what it shows."""
    width, height = photograph.size
    if not whole:
        share = random.uniform(0.3, 0.45)
        left = random.choice([0, width - width * share])
        top = random.choice([0, height - height * share])
        right, bottom = left + width * share, top + height * share
        photograph = photograph.crop((int(left), int(top), int(right), int(bottom)))
    size = TALL if random.random() < 0.75 else WIDE
    if random.random() < 0.5:
        photograph = photograph.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    return photograph.resize(size)


def change_light(image: Image.Image, random: Random, amount: float) -> Image.Image:
    """Change brightness, contrast, saturation and the colour of the light."""
    for kind in (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color):
        image = kind(image).enhance(1 + random.uniform(-amount, amount))
    light = np.array([1 + random.uniform(-0.08, 0.08) for _ in range(3)], np.float32)
    lit = np.minimum(np.asarray(image, np.float32) * light, 255)
    return Image.fromarray(lit.astype(np.uint8))


def shoot(image: Image.Image, random: Random) -> Image.Image:
    """Blur an image and store it as a JPEG, as a phone would."""
    if random.random() < 0.6:
        image = image.filter(ImageFilter.GaussianBlur(random.uniform(0.2, 1.2)))
    file = io.BytesIO()
    image.save(file, "JPEG", quality=random.randint(60, 92))
    return Image.open(file).convert("RGB")


def overlap(one: Frame, other: Frame) -> float:
    """Return the intersection of two boxes over their union."""
    across = min(one[2], other[2]) - max(one[0], other[0])
    down = min(one[3], other[3]) - max(one[1], other[1])
    shared = max(across, 0) * max(down, 0)
    areas = sum((right - left) * (bottom - top) for left, top, right, bottom in (one, other))
    return shared / (areas - shared)


def _surface(pixels: Floats) -> Floats:
    """Return the ground as a quadratic surface, fitted to the border's usual colours."""
    height, width = pixels.shape[:2]
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    terms = np.stack([np.ones_like(x), x, y, x * x, y * y, x * y], axis=-1)
    border = np.concatenate(list(_sides(pixels)))
    usual = np.abs(border - np.median(border, axis=0)).max(axis=1) < 40
    fitted = np.linalg.lstsq(np.concatenate(list(_sides(terms)))[usual], border[usual], rcond=None)
    return np.asarray(terms @ fitted[0], np.float32)


def _sides(values: npt.NDArray[np.floating]) -> Iterator[npt.NDArray[np.floating]]:
    yield from (values[0], values[-1], values[:, 0], values[:, -1])


def joined_to(mask: Bits, start: Bits) -> Bits:
    """Return the part of a mask that is joined to points of `start`."""
    found = mask & start
    while True:
        grown = _grown(found) & mask
        if np.array_equal(grown, found):
            return found
        found = grown


def _border(shape: tuple[int, ...]) -> Bits:
    border = np.ones(shape, bool)
    border[1:-1, 1:-1] = False
    return border


def _middle(shape: tuple[int, ...]) -> Bits:
    height, width = shape
    middle = np.zeros(shape, bool)
    middle[2 * height // 5 : 3 * height // 5, 2 * width // 5 : 3 * width // 5] = True
    return middle


def _opened(solid: Bits) -> Bits:
    """Take away what is thinner than three pixels."""
    return _grown(~_grown(~solid))


def _grown(mask: Bits) -> Bits:
    """Add the four neighbours of each point."""
    grown = mask.copy()
    grown[1:] |= mask[:-1]
    grown[:-1] |= mask[1:]
    grown[:, 1:] |= mask[:, :-1]
    grown[:, :-1] |= mask[:, 1:]
    return grown
