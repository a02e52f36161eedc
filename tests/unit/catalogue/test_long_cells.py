"""Long cells of feeds are read in linear time: twice the characters take about twice the time."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from statistics import median

import pytest

from backend.catalogue.sources.held_images import is_image_as_text, split_data
from backend.catalogue.sources.image_cells import ends_as_image, split_images
from backend.catalogue.sources.named_options import ADDED, COLOUR, NamedOptions

SHORT = 100_000  # characters
ADDRESS = "https://h.example/1.jpg"
AS_BASE64 = "/9j/" + "A" * 80


def options_of(*cells: str, columns: Sequence[str] = ("features",)) -> str:
    """Return the colour that the options of a record name."""
    return NamedOptions.find(columns).read(cells)[ADDED.index(COLOUR)]


def options_in_lists(cell: str) -> str:
    return options_of(cell, "M", columns=("Attribute (Name:Type)", "Value (Value)"))


def seconds(read: Callable[[str], object], cell: str) -> float:
    """Return the processor time of one call."""
    begin = time.thread_time()
    read(cell)
    return time.thread_time() - begin


@pytest.mark.parametrize(
    ("read", "head", "repeated", "tail"),
    [
        (is_image_as_text, AS_BASE64, " ", "!"),
        (is_image_as_text, "/9j/", "A ", "!"),
        (split_data, "data:", " ", "x"),
        (split_images, ADDRESS, " ", "x"),
        (split_images, f"{ADDRESS},", " ", "x"),
        (split_images, f"{ADDRESS} !", " ", "x"),
        (split_images, "https://h.example/", "1.jpg|", "/x"),
        (split_images, "1.jpg", " ", "x"),
        (ends_as_image, "1", ".jpg?", " x"),
        (options_of, "a:", " ", "]x"),
        (options_of, "a", " ", "]x:"),
        (options_of, ":", " ", "x"),
        (options_in_lists, "a", " ", "x"),
    ],
)
def test_twice_the_characters_take_about_twice_the_time(
    read: Callable[[str], object], head: str, repeated: str, tail: str
) -> None:
    short = head + repeated * (SHORT // len(repeated)) + tail
    long = head + repeated * (2 * SHORT // len(repeated)) + tail
    pairs = [(seconds(read, short), seconds(read, long)) for _ in range(9)]
    first, second = (median(each) for each in zip(*pairs, strict=True))
    assert second < 3 * first + 0.01  # quadratic time would be 4 times as much


def test_blanks_between_images_and_options_do_not_matter() -> None:
    assert split_images("1.jpg \xa0, 2.jpg\r\n\r\n3.jpg ;") == ["1.jpg", "2.jpg", "3.jpg"]
    assert split_images(f"{ADDRESS} , ,{ADDRESS}?2  {ADDRESS}?3") == [
        *(ADDRESS, f"{ADDRESS}?2", f"{ADDRESS}?3")
    ]
    assert split_images(f"{ADDRESS}|Tee|new") == [ADDRESS]
    assert split_data("data:,a ; ,data:,b | https://h.example/c") == [
        *("data:,a", "data:,b", "https://h.example/c")
    ]
    assert is_image_as_text(f"{AS_BASE64}\r\n{'B' * 76} \n==\n")
    for text in ("Size: M ;  Color : Red ", "[Size=M] [Color= Red]", "Color: S[Red]\n\n x"):
        assert options_of(text) == "Red"
