"""Images on which something was pasted, to learn from what that looks like.

The products of the catalogue are thumbnails, so whoever learns from them alone learns that what is
blurred was pasted. So half of these are made sharper, others come from images in full size, things
are cut out of photographs, too, and pieces of photographs are given the outline of a product.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

from backend.embedders.pixels import Pixels
from backend.lab.training.composites import MASK, Maker
from backend.lab.training.street import TALL, WIDE, Street, cut_out, find_thing, lay_ground

PRODUCTS, IN_FULL, THINGS = 0.35, 0.2, 0.25
"""Shares of what is pasted: products, those in full size, things of photographs.

The rest are pieces of photographs.
"""

WHOLE: Final = 0.65  # share of composites that have all of a photograph as their ground
SHARPENED: Final = 0.5  # share of the products that are made sharper
ALONE: Final = 0.75  # share of composites with one thing on them; others have two or three
NEAR: Final = 0.4  # share of composites that are cropped to a thing and some ground
SIDE: Final = 400  # the longer side in pixels of what is cut out of an image in full size
ENLARGED: Final = 300  # the same of a product that is made sharper
VIEWS: Final = 2  # of each photograph in other light, and of a part of it
AROUND = (-0.05, 0.3)  # share of a thing's width and height that is left around it, at each edge


class PastedImages(NamedTuple):
    """Images, and where something was pasted on them."""

    pixels: Pixels
    masks: npt.NDArray[np.float16]  # (n, *MASK): how much of each point is covered


class PastedMaker(Maker):
    """Makes images on which something was pasted, and images on which nothing was."""

    def __init__(
        self,
        products: Sequence[Sequence[Path]],
        photographs: Sequence[tuple[Path, int]],
        *,
        things: Sequence[Path],
        in_full: Sequence[Path] = (),
        seed: int,
        input_size: tuple[int, int],
    ) -> None:
        """As a Maker; `things` are photographs that are cut out where their ground is plain.

        `in_full` are images of products in full size.
        """
        super().__init__(products, photographs, seed=seed, input_size=input_size)
        self._things = [cut for path in things if (cut := _cut(path))]
        self._in_full = [cut for path in in_full if (cut := _cut_product(path))]

    def make_pasted(self, count: int) -> PastedImages:
        """Make composites: WHOLE of them on all of a photograph, the others on a corner of one."""
        made = PastedImages(
            np.empty((count, *self._input_size, 3), np.uint8), np.empty((count, *MASK), np.float16)
        )
        for row in range(count):
            image, covered = self._paste_some(whole=self._random.random() < WHOLE)
            made.pixels[row] = self._shrunk(image)
            made.masks[row] = np.asarray(covered.resize(MASK[::-1], Image.Resampling.BOX))
        return made

    def take_photographs(self, photographs: Sequence[Path]) -> Pixels:
        """Return photographs as they are, then VIEWS times in other light and in part.

        They have the network's size: (n · (1 + 2 · VIEWS), height, width, 3).
        """
        return np.stack([self._shrunk(image) for image in self._taken(photographs)])

    def _taken(self, photographs: Sequence[Path]) -> Iterator[Image.Image]:
        for change in (lambda image: image, *[self.take_again, self._part] * VIEWS):
            for path in photographs:
                yield change(Image.open(path).convert("RGB"))

    def _part(self, photograph: Image.Image) -> Image.Image:
        random, (width, height) = self._random, photograph.size
        across, down = random.uniform(0.4, 0.9), random.uniform(0.4, 0.9)
        left, top = random.uniform(0, 1 - across) * width, random.uniform(0, 1 - down) * height
        edges = (int(left), int(top), int(left + across * width), int(top + down * height))
        return self._shoot(photograph.crop(edges).resize(random.choice([TALL, TALL, TALL, WIDE])))

    def _paste_some(self, *, whole: bool) -> tuple[Image.Image, Image.Image]:
        """Return a composite, and how much of each of its points is covered."""
        random = self._random
        street = Street(image=lay_ground(self._photograph()[0], random, whole=whole))
        many = 1 if random.random() < ALONE else random.choice([2, 3])
        for _ in range(many):
            scale = random.uniform(0.25, 0.95 if many == 1 else 0.6)
            street.paste(self._something(), random, scale=scale)
        image, covered = self._shoot(street.image), Image.fromarray(street.covered())
        if random.random() > NEAR or not street.pasted:
            return image, covered
        edges = self._near(random.choice(street.pasted).box, image.size)
        return image.crop(edges), covered.crop(edges)

    def _something(self) -> Image.Image:
        """Draw what is pasted."""
        random, drawn = self._random, self._random.random()
        if drawn < PRODUCTS:
            product = self._product()[0]
            return _sharpened(product) if random.random() < SHARPENED else product
        if drawn < PRODUCTS + IN_FULL and self._in_full:
            return _mirrored(random.choice(self._in_full), random)
        if drawn < PRODUCTS + IN_FULL + THINGS:
            return _mirrored(random.choice(self._things), random)
        return self._piece()

    def _piece(self) -> Image.Image:
        """Return a piece of a photograph that has the outline of a product."""
        random = self._random
        outline = self._product()[0]
        enlarged = max(1, 300 / max(outline.size))
        outline = outline.resize(
            (int(outline.width * enlarged), int(outline.height * enlarged))
        ).filter(ImageFilter.GaussianBlur(enlarged / 2))
        piece = lay_ground(self._photograph()[0], random, whole=random.random() < 0.5)
        piece = piece.resize(outline.size)
        piece.putalpha(outline.getchannel("A"))
        return piece

    def _near(
        self, box: tuple[float, float, float, float], size: tuple[int, int]
    ) -> tuple[int, int, int, int]:
        """Return a box in pixels with a random part of its ground."""
        (left, top, right, bottom), (width, height) = box, size
        more = [self._random.uniform(*AROUND) for _ in range(4)]
        across, down = right - left, bottom - top
        left, right = max(0, left - across * more[0]), min(1, right + across * more[1])
        top, bottom = max(0, top - down * more[2]), min(1, bottom + down * more[3])
        return int(left * width), int(top * height), round(right * width), round(bottom * height)


def _mirrored(image: Image.Image, random: Random) -> Image.Image:
    """Return an image, or its mirror image."""
    return image.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if random.random() < 0.5 else image


def _sharpened(cut: Image.Image) -> Image.Image:
    """Enlarge a thumbnail's product, with an outline and edges as a larger image has them."""
    factor = max(1, ENLARGED / max(cut.size))
    size = int(cut.width * factor), int(cut.height * factor)
    large = cut.convert("RGB").resize(size, Image.Resampling.LANCZOS)
    large = large.filter(ImageFilter.UnsharpMask(factor, percent=150, threshold=0))
    outline = cut.getchannel("A").resize(size, Image.Resampling.BICUBIC)
    large.putalpha(outline.point(lambda level: 4 * (level - 96)))
    return large


def _cut_product(path: Path) -> Image.Image | None:
    image = Image.open(path).convert("RGB")
    image.thumbnail((SIDE, SIDE))
    return cut_out(image)


def _cut(photograph: Path) -> Image.Image | None:
    """Cut out the thing of a photograph; None where its ground is not plain."""
    image = Image.open(photograph).convert("RGB")
    image.thumbnail((SIDE, SIDE))
    thing = find_thing(image)
    if thing is None:
        return None
    alpha = Image.fromarray((thing * 255).astype(np.uint8))
    image.putalpha(alpha)
    return image.crop(alpha.getbbox())
