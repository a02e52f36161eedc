"""The colours of the product, whatever colour the ground has."""

from __future__ import annotations

import numpy as np

from backend.embedders.foreground_colours import SIZE, foreground_colours
from backend.embedders.pixels import Pixels


def shown(garment: tuple[int, int, int], ground: tuple[int, int, int]) -> Pixels:
    pixels = np.full((1, 224, 168, 3), ground, np.uint8)
    pixels[:, 40:190, 40:130] = garment
    return pixels


def cosine(first: Pixels, second: Pixels) -> float:
    return float((foreground_colours(first) * foreground_colours(second)).sum())


def test_the_ground_is_not_counted_in_any_colour() -> None:
    red = (190, 30, 40)
    for ground in ((255, 255, 255), (229, 229, 231), (30, 80, 160)):
        assert cosine(shown(red, ground), shown(red, (255, 255, 255))) > 0.999
    assert cosine(shown(red, (229, 229, 231)), shown((30, 80, 170), (229, 229, 231))) < 0.3


def test_near_shades_are_nearer_than_far_ones() -> None:
    white = (255, 255, 255)
    navy, near, far = (shown(c, white) for c in ((20, 30, 80), (24, 36, 92), (120, 160, 220)))
    assert cosine(navy, near) > 0.9 > cosine(navy, far)


def test_a_product_in_the_colour_of_its_ground_counts_as_a_whole() -> None:
    white = shown((252, 252, 252), (255, 255, 255))
    assert foreground_colours(white).shape == (1, SIZE)
    assert cosine(white, shown((255, 255, 255), (255, 255, 255))) > 0.99
