"""Composites that the finding of regions is learnt on, and what is known of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import Image

from backend.embedders.pixels import Pixels
from backend.embedders.regions import FINE_COLUMNS, FINE_ROWS, KINDS
from backend.lab.training.street import (
    Street,
    box_of,
    change_light,
    cut_out,
    find_thing,
    lay_ground,
    shoot,
)

CORNER, WHOLE, ALONE = 0, 1, 2
"""Grounds: a corner of a photograph, all of it, and a photograph on which nothing is pasted.

Where a photograph alone has so plain a ground that its thing can be cut out, that is learnt, too.
"""
SHARES: Final = (0.55, 0.25, 0.2)

MOST_PASTED: Final = 3
PASTED_SHARES: Final = (0.05, 0.5, 0.3, 0.15)  # of composites with 0 to 3 products
PATCHES: Final = 0.4  # share of corners with a piece of another ground that has a product's outline
COARSE: Final = 0.5  # share that is shrunk and enlarged, so that sharpness tells nothing

MASK = (2 * FINE_ROWS, 2 * FINE_COLUMNS)


@dataclass(frozen=True, kw_only=True)
class Composites:
    """Images, and where the things on them are."""

    pixels: Pixels
    masks: npt.NDArray[np.float16]  # (n, *MASK): how much of each point is covered
    boxes: npt.NDArray[np.float32]  # (n, MOST_PASTED, 5): box and number of the kind; -1: none
    grounds: npt.NDArray[np.int8]  # (n,): CORNER, WHOLE, ALONE
    kinds: npt.NDArray[np.int8]  # (n,): what a photograph alone shows; -1: not alone


class Maker:
    """Makes composites from catalogue images by kind, and photographs by kind."""

    def __init__(
        self,
        products: Sequence[Sequence[Path]],
        photographs: Sequence[tuple[Path, int]],
        *,
        seed: int,
        input_size: tuple[int, int],
    ) -> None:
        self._products = products
        self._photographs = photographs
        self._random = Random(seed)
        self._input_size = input_size

    def make(self, count: int) -> Composites:
        """Make composites; the seed decides them."""
        made = Composites(
            pixels=np.empty((count, *self._input_size, 3), np.uint8),
            masks=np.zeros((count, *MASK), np.float16),
            boxes=np.full((count, MOST_PASTED, 5), -1, np.float32),
            grounds=np.array(self._random.choices(range(3), SHARES, k=count), np.int8),
            kinds=np.full(count, -1, np.int8),
        )
        for row, ground in enumerate(made.grounds):
            if ground == ALONE:
                image, made.kinds[row] = self._alone()
                if _label(image, made.kinds[row], made.masks[row], made.boxes[row]):
                    made.grounds[row] = CORNER  # all is known of it
            else:
                image = self._pasted(ground == WHOLE, made.masks[row], made.boxes[row])
            made.pixels[row] = self._shrunk(self._shoot(image))
        return made

    def take_again(self, photograph: Image.Image) -> Image.Image:
        """Return a photograph, a little closer, in other light, and stored once more."""
        return self._shoot(self._closer(photograph))

    def _photograph(self) -> tuple[Image.Image, int]:
        path, kind = self._random.choice(self._photographs)
        return Image.open(path).convert("RGB"), kind

    def _alone(self) -> tuple[Image.Image, int]:
        image, kind = self._photograph()
        return self._closer(image), kind

    def _closer(self, image: Image.Image) -> Image.Image:
        if self._random.random() < 0.5:
            image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        less = self._random.uniform(0, 0.12)
        left, top = self._random.uniform(0, less), self._random.uniform(0, less)
        width, height = image.size
        right, bottom = 1 - less + left, 1 - less + top
        edges = (int(left * width), int(top * height), int(right * width), int(bottom * height))
        return image.crop(edges)

    def _pasted(
        self, whole: bool, mask: npt.NDArray[np.float16], boxes: npt.NDArray[np.float32]
    ) -> Image.Image:
        random = self._random
        street = Street(image=lay_ground(self._photograph()[0], random, whole=whole))
        if not whole and random.random() < PATCHES:
            self._paste_patch(street)
        (many,) = random.choices(range(MOST_PASTED + 1), PASTED_SHARES)
        for _ in range(many):
            cut, kind = self._product()
            largest = 0.95 if many == 1 else 0.6
            pasted = street.paste(cut, random, scale=random.uniform(0.25, largest))
            if pasted:
                boxes[len(street.pasted) - 1] = (*pasted.box, kind)
        small = Image.fromarray(street.covered()).resize(MASK[::-1], Image.Resampling.BOX)
        mask[:] = np.asarray(small)
        return street.image

    def _paste_patch(self, street: Street) -> None:
        outline = self._product()[0]
        patch = lay_ground(self._photograph()[0], self._random, whole=False).resize(outline.size)
        patch.putalpha(outline.getchannel("A"))
        street.paste(patch, self._random, scale=self._random.uniform(0.25, 0.7), angle=180)
        street.pasted.clear()  # it is no thing

    def _product(self) -> tuple[Image.Image, int]:
        """Draw a product that can be cut out; each kind of clothes as often, other things more."""
        while True:
            weights = [4 if kind == "other" else 1 for kind in KINDS]
            (kind,) = self._random.choices(range(len(KINDS)), weights)
            if not self._products[kind]:
                continue
            cut = cut_out(Image.open(self._random.choice(self._products[kind])))
            if cut:
                mirrored = self._random.random() < 0.5
                return cut.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if mirrored else cut, kind

    def _shoot(self, image: Image.Image) -> Image.Image:
        if self._random.random() < COARSE:
            size, factor = image.size, self._random.uniform(0.25, 0.8)
            small = image.resize((max(24, int(size[0] * factor)), max(24, int(size[1] * factor))))
            image = small.resize(size)
        return shoot(change_light(image, self._random, 0.15), self._random)

    def _shrunk(self, image: Image.Image) -> Pixels:
        height, width = self._input_size
        return np.asarray(image.resize((width, height)), np.uint8)


def _label(
    image: Image.Image, kind: int, mask: npt.NDArray[np.float16], boxes: npt.NDArray[np.float32]
) -> bool:
    """Write where the thing of a photograph is, and tell whether that can be seen."""
    thing = find_thing(image)
    if thing is None:
        return False
    boxes[0] = (*box_of(thing), kind)
    small = Image.fromarray(thing.astype(np.float32)).resize(MASK[::-1], Image.Resampling.BOX)
    mask[:] = np.asarray(small)
    return True
