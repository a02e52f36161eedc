"""A region of an image: its numbers, and the image that is decoded from it."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from support.image_files import encoded, garment

from backend.errors import ImageTooLarge, InvalidBox
from backend.images.box import Box
from backend.images.decode import decode, decode_region
from backend.images.limits import ImageLimits

LIMITS = ImageLimits()


def decoded(data: bytes, *numbers: float, limits: ImageLimits = LIMITS) -> Image.Image:
    return decode_region(data, limits=limits, box=Box.of(numbers), target=(24, 32))


@pytest.mark.parametrize(
    ("numbers", "pixels"),
    [
        ((0, 0, 1, 1), (0, 0, 200, 100)),
        ((0.25, 0.5, 0.75, 1), (50, 50, 150, 100)),
        ((10, 20, 60, 80), (10, 20, 60, 80)),
        ((0, 0, 199.6, 50), (0, 0, 200, 50)),
    ],
)
def test_numbers_up_to_one_are_fractions_and_others_pixels(
    numbers: tuple[float, ...], pixels: tuple[int, ...]
) -> None:
    assert Box.of(numbers).pixels(200, 100, limits=LIMITS) == pixels


@pytest.mark.parametrize("numbers", [(0.25, 0.5, 0.75, 1), (50, 50, 150, 100)])
def test_what_is_around_a_box_is_added_as_far_as_the_image_goes(numbers: tuple[float, ...]) -> None:
    box = replace(Box.of(numbers), around=0.2)
    assert box.pixels(200, 100, limits=LIMITS) == (30, 40, 170, 100)


@pytest.mark.parametrize(
    ("numbers", "reason"),
    [
        ((0, 0, 1), "four numbers"),
        ((0, 0, float("nan"), 1), "four numbers"),
        ((0, 0, float("inf"), 1), "four numbers"),
        ((-0.1, 0, 1, 1), "outside of the image"),
        ((0.5, 0, 0.5, 1), "empty"),
        ((0.5, 0.6, 0.7, 0.2), "empty"),
    ],
)
def test_what_is_no_box_in_any_image_is_refused(numbers: tuple[float, ...], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        Box.of(numbers)


@pytest.mark.parametrize(
    ("numbers", "reason"),
    [
        ((0, 0, 181, 240), "ends at 181 x 240, outside of the image, which is 180 x 240"),
        ((10, 10, 17, 100), "the box is 7 x 90 pixels, with a side shorter than 8"),
        ((0, 0, 0.01, 1), "the box is 2 x 240 pixels, with a side shorter than 8"),
        ((0, 0, 180, 8), "the box is 180 x 8 pixels, too narrow"),
        ((0, 0, 1, 1.1), "the box is 1 x 1 pixels"),
    ],
)
def test_a_box_that_does_not_fit_an_image_is_refused_with_both_sizes(
    numbers: tuple[float, ...], reason: str
) -> None:
    with pytest.raises(InvalidBox, match=reason):
        decoded(encoded(garment(1)), *numbers)


@pytest.mark.parametrize("format", ["PNG", "JPEG", "TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_region_is_what_a_file_of_that_region_gives_as_exif_turns_it(
    format: str, orientation: int
) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    file = io.BytesIO()
    garment(2).save(file, format, exif=exif)
    upright = decode(file.getvalue(), limits=LIMITS)
    by_hand = encoded(upright.crop((30, 40, 120, 160)))
    found = decoded(file.getvalue(), 30, 40, 120, 160)
    assert np.array_equal(np.asarray(found), decode(by_hand, limits=LIMITS, target=(24, 32)))


@pytest.mark.parametrize("orientation", [1, 6])
def test_a_jpeg_that_must_be_reduced_is_cut_at_the_same_place(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    file = io.BytesIO()
    garment(3, 1600, 1200).save(file, "JPEG", quality=95, exif=exif)
    limits = ImageLimits(max_pixels=500_000)
    whole = decoded(file.getvalue(), 0.1, 0.2, 0.6, 0.9)
    reduced = decoded(file.getvalue(), 0.1, 0.2, 0.6, 0.9, limits=limits)
    difference = np.asarray(whole, float) - np.asarray(reduced, float)
    assert float(np.abs(difference).mean()) < 3


def test_a_large_image_that_cannot_be_reduced_is_refused_whatever_the_box() -> None:
    with pytest.raises(ImageTooLarge):
        decoded(encoded(garment(1)), 0, 0, 20, 20, limits=ImageLimits(max_pixels=1000))


def test_a_region_may_be_decoded_to_a_longest_side() -> None:
    found = decode_region(
        encoded(garment(1)), limits=LIMITS, box=Box.of((0, 0, 100, 50)), target=20
    )
    assert found.size == (20, 10)
