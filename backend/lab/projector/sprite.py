"""All pictures on one sheet, row by row: what a browser loads at once."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Final, TypeAlias

from PIL import Image, ImageOps

LARGEST_SIDE: Final = 8192
"""Pixels of a sheet: the most that graphics hardware takes as one texture everywhere."""
LARGEST_TILE: Final = 64
SMALLEST_TILE: Final = 16
MOST_TILES: Final = (LARGEST_SIDE // SMALLEST_TILE) ** 2

OpenPicture: TypeAlias = Callable[[str, tuple[int, int]], Image.Image | None]
"""Opens a picture by its URI, fitted into a box (width, height); None if it cannot be opened."""


def tile_side(count: int) -> int:
    """Return the side of a square tile in pixels, so that `count` tiles make one sheet."""
    return min(LARGEST_TILE, LARGEST_SIDE // columns(count))


def columns(count: int) -> int:
    """Return how many tiles stand in a row: the sheet is about square."""
    return max(1, math.isqrt(max(count, 1) - 1) + 1)


def draw_sprite(
    uris: Sequence[str], open_picture: OpenPicture, *, report: Callable[[int, int], None]
) -> Image.Image:
    """Draw the pictures, letterboxed on white; grey stands for one that cannot be opened."""
    side, across = tile_side(len(uris)), columns(len(uris))
    sheet = Image.new("RGB", (across * side, -(-len(uris) // across) * side), "white")
    for position, tile in enumerate(_tiles(uris, open_picture, side)):
        row, column = divmod(position, across)
        sheet.paste(tile, (column * side, row * side))
        report(position + 1, len(uris))
    return sheet


def _tiles(uris: Sequence[str], open_picture: OpenPicture, side: int) -> Iterable[Image.Image]:
    for uri in uris:
        picture = open_picture(uri, (side, side))
        if picture is None:
            yield Image.new("RGB", (side, side), "lightgrey")
        else:
            yield ImageOps.pad(picture.convert("RGB"), (side, side), color="white")
