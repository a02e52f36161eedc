"""A thing is cut out by a rough mask and the image's own colours, and laid on white."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageDraw

from backend.images.on_white import FILLED, lay_on_white

SURE = 4.0
RNG = np.random.default_rng(0)


def busy(width: int, height: int, *, low: int, high: int) -> Image.Image:
    levels = RNG.integers(low, high, (height, width, 3), np.uint8)
    return Image.fromarray(levels)


def rough_mask(left: int, top: int, right: int, bottom: int) -> np.ndarray:
    mask = np.full((28, 21), -SURE, np.float32)
    mask[top:bottom, left:right] = SURE
    return mask


def test_colours_correct_a_mask_that_is_too_small() -> None:
    image = busy(210, 280, low=40, high=120)
    ImageDraw.Draw(image).rectangle((50, 60, 159, 219), fill="#d03030")
    cut = lay_on_white(image, rough_mask(6, 7, 15, 21) / 2)  # true: 5 to 16, 6 to 22
    pixels = np.asarray(cut).astype(int)
    red = pixels[..., 0] - pixels[..., 1] > 80
    assert abs(red.any(axis=0).sum() - 110) < 8
    assert abs(red.any(axis=1).sum() - 160) < 8
    white = (pixels > 243).all(axis=2)
    assert red.sum() > 0.85 * 110 * 160  # the mask has .72 of it
    assert (red | white).mean() > 0.9  # hardly any of the ground is left


@pytest.mark.parametrize(("width", "height"), [(110, 160), (160, 60), (40, 160)])
def test_a_thing_keeps_its_proportions_in_a_frame_of_three_to_four(width: int, height: int) -> None:
    image = Image.new("RGB", (210, 280), "#607080")
    left, top = (210 - width) // 2, (280 - height) // 2
    ImageDraw.Draw(image).rectangle((left, top, left + width - 1, top + height - 1), fill="#d03030")
    edges = (left // 10, top // 10, (left + width) // 10, (top + height) // 10)
    cut = lay_on_white(image, rough_mask(*edges))
    pixels = np.asarray(cut).astype(int)
    red = pixels[..., 0] - pixels[..., 1] > 80
    across, down = red.any(axis=0).sum(), red.any(axis=1).sum()
    assert abs(cut.width / cut.height - 3 / 4) < 0.01
    assert abs(across / down - width / height) < 0.1 * width / height
    assert abs(max(across / cut.width, down / cut.height) - FILLED) < 0.03
    assert abs(np.flatnonzero(red.any(axis=0)).mean() - cut.width / 2) < 4


def test_a_thing_as_white_as_what_it_is_laid_on_keeps_its_shadows() -> None:
    image = busy(210, 280, low=40, high=120)
    draw = ImageDraw.Draw(image)
    draw.rectangle((50, 60, 159, 219), fill="#f4f4f4")
    draw.line((105, 60, 105, 219), fill="#a0a0a0", width=6)
    cut = np.asarray(lay_on_white(image, rough_mask(5, 6, 16, 22)).convert("L"))
    middle = cut[cut.shape[0] // 2]
    assert middle.min() < 190
    assert np.median(middle) > 235


def test_without_a_thing_the_image_stays_as_it_is() -> None:
    image = busy(60, 80, low=0, high=255)
    nothing = np.full((28, 21), -30, np.float32)
    assert lay_on_white(image, nothing) is image
