"""All images of a sample on one sheet, row by row."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Final

from PIL import Image, ImageOps

from backend.lab.types import OpenImage, Report

LARGEST_SIDE: Final = 8192
"""Pixels of a sheet: the largest texture that all graphics hardware supports."""
LARGEST_TILE: Final = 64


def tile_side(count: int) -> int:
    """Return the side of a square tile in pixels, so that `count` tiles fit on one sheet."""
    return min(LARGEST_TILE, LARGEST_SIDE // columns(count))


def columns(count: int) -> int:
    """Return the number of tiles in a row; the sheet is about square."""
    return max(1, math.isqrt(max(count, 1) - 1) + 1)


def draw_sprite(uris: Sequence[str], open_image: OpenImage, *, report: Report) -> Image.Image:
    """Draw the images, letterboxed on white; one that cannot be opened becomes a grey tile."""
    side, across = tile_side(len(uris)), columns(len(uris))
    sheet = Image.new("RGB", (across * side, -(-len(uris) // across) * side), "white")
    for position, tile in enumerate(_tiles(uris, open_image, side)):
        row, column = divmod(position, across)
        sheet.paste(tile, (column * side, row * side))
        report(position + 1, len(uris))
    return sheet


def _tiles(uris: Sequence[str], open_image: OpenImage, side: int) -> Iterable[Image.Image]:
    for uri in uris:
        image = open_image(uri, (side, side))
        if image is None:
            yield Image.new("RGB", (side, side), "lightgrey")
        else:
            yield ImageOps.pad(image.convert("RGB"), (side, side), color="white")
