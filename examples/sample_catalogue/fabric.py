"""Cloth: a ground colour and a pattern, cut from an endless roll."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from random import Random
from typing import TypeAlias

from PIL import Image, ImageDraw, ImageFilter

from sample_catalogue.colours import Colour, darker, lighter, mix

SCALE = 3  # drawn at three times the size and reduced: PIL does not smooth edges by itself
Box: TypeAlias = tuple[int, int, int, int]  # left, top, right, bottom in drawn pixels


@dataclass(frozen=True, kw_only=True)
class Fabric:
    """One cloth. `pattern` is a key of PATTERNS; `size` is the width of its repeat in units."""

    ground: Colour
    figure: Colour = (255, 255, 255)
    pattern: str = "plain"
    size: float = 14
    seed: int = 0

    def cut(self, area: Box, *, angle: float = 0) -> Image.Image:
        """Cut a piece for the area, its threads turned clockwise by `angle` degrees."""
        left, top, right, bottom = area
        width, height = right - left, bottom - top
        if not angle or self.pattern == "plain":
            return self._roll((width, height), top)
        side = math.ceil(math.hypot(width, height))
        roll = self._roll((side, side), top).rotate(-angle)
        x, y = (side - width) // 2, (side - height) // 2
        return roll.crop((x, y, x + width, y + height))

    def shaded(self, share: float = 0.3) -> Fabric:
        """Return a darker plain cloth: a lining, the inside of a neck."""
        return Fabric(ground=darker(self.ground, share))

    def _roll(self, size: tuple[int, int], top: int) -> Image.Image:
        """Unroll a piece whose upper edge lies `top` drawn pixels below the sheet's."""
        piece = Image.new("RGB", size, self.ground)
        PATTERNS[self.pattern](piece, self, top)
        return piece


def _plain(_piece: Image.Image, _cloth: Fabric, _top: int) -> None:
    """Leave the ground as it is."""


def _stripes(piece: Image.Image, cloth: Fabric, top: int) -> None:
    draw, repeat = ImageDraw.Draw(piece), cloth.size * SCALE
    y = -top % repeat - repeat
    while y < piece.height:
        draw.rectangle((0, y, piece.width, y + repeat * 0.42), fill=cloth.figure)
        y += repeat


def _pinstripes(piece: Image.Image, cloth: Fabric, _top: int) -> None:
    draw, repeat = ImageDraw.Draw(piece), cloth.size * SCALE * 0.6
    x = piece.width / 2 % repeat
    while x < piece.width:
        draw.line((x, 0, x, piece.height), fill=cloth.figure, width=SCALE)
        x += repeat


def _checks(piece: Image.Image, cloth: Fabric, _top: int) -> None:
    repeat = cloth.size * SCALE
    weave = Image.new("L", piece.size, 0)
    for axis in range(2):
        threads = Image.new("L", piece.size, 0)
        _bands(threads, repeat, axis)
        weave = Image.blend(weave, threads, 0.5) if axis else threads
    piece.paste(cloth.figure, mask=weave)


def _bands(threads: Image.Image, repeat: float, axis: int) -> None:
    """Draw a broad and a narrow band a repeat, side by side (axis 0) or one below the other."""
    draw = ImageDraw.Draw(threads)
    length = threads.size[axis]
    start = length / 2 % repeat - repeat
    for i in range(math.ceil(length / repeat) + 2):
        for offset, width, shade in ((0, 0.42, 235), (0.66, 0.09, 150)):
            low = start + (i + offset) * repeat
            high = low + width * repeat
            edge = (low, 0, high, threads.height) if axis == 0 else (0, low, threads.width, high)
            draw.rectangle(edge, fill=shade)


def _dots(piece: Image.Image, cloth: Fabric, top: int) -> None:
    draw, repeat = ImageDraw.Draw(piece), cloth.size * SCALE
    radius = repeat * 0.26
    for row in range(math.ceil(piece.height / repeat) + 2):
        for column in range(math.ceil(piece.width / repeat) + 2):
            x = (column + row % 2 / 2) * repeat - repeat / 2
            y = row * repeat * 0.86 - top % (repeat * 1.72)
            draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=cloth.figure)


def _flowers(piece: Image.Image, cloth: Fabric, _top: int) -> None:
    draw, repeat, rng = ImageDraw.Draw(piece), cloth.size * SCALE, Random(cloth.seed)
    leaf, heart = mix(cloth.ground, (60, 110, 70), 0.55), mix(cloth.figure, (250, 210, 80), 0.7)
    for row in range(-1, math.ceil(piece.height / repeat) + 1):
        for column in range(-1, math.ceil(piece.width / repeat) + 1):
            x = (column + rng.uniform(0.1, 0.9)) * repeat
            y = (row + rng.uniform(0.1, 0.9)) * repeat
            _flower(draw, (x, y), repeat * rng.uniform(0.14, 0.26), (cloth.figure, leaf, heart))


def _flower(
    draw: ImageDraw.ImageDraw, at: tuple[float, float], petal: float, colours: tuple[Colour, ...]
) -> None:
    (x, y), (petals, leaf, heart) = at, colours
    draw.ellipse((x + petal, y + petal, x + 3 * petal, y + 2 * petal), fill=leaf)
    for step in range(5):
        px = x + petal * math.cos(step * math.tau / 5)
        py = y + petal * math.sin(step * math.tau / 5)
        draw.ellipse((px - petal, py - petal, px + petal, py + petal), fill=petals)
    draw.ellipse((x - petal / 2, y - petal / 2, x + petal / 2, y + petal / 2), fill=heart)


def _colour_block(piece: Image.Image, cloth: Fabric, top: int) -> None:
    edge = round(145 * SCALE) - top
    if edge > 0:
        piece.paste(cloth.figure, (0, 0, piece.width, min(edge, piece.height)))


def _knit(piece: Image.Image, cloth: Fabric, top: int) -> None:
    draw, repeat = ImageDraw.Draw(piece), round(3.6 * SCALE)
    groove = darker(cloth.ground, 0.16)
    for x in range(piece.width // 2 % repeat, piece.width, repeat):
        draw.line((x, 0, x, piece.height), fill=groove, width=2)
        for y in range(-(top % 7), piece.height, 7):
            draw.line((x, y, x + repeat // 2, y + 4), fill=groove, width=1)
            draw.line((x + repeat // 2, y + 4, x + repeat, y), fill=groove, width=1)


def _denim(piece: Image.Image, cloth: Fabric, _top: int) -> None:
    """Dull the dye and scatter slanting threads of undyed cotton."""
    piece.paste(mix(cloth.ground, (92, 104, 128), 0.3), (0, 0, *piece.size))
    noise = _noise().crop((0, 0, *piece.size))
    piece.paste(lighter(cloth.ground, 0.35), mask=noise.point([max(v - 80, 0) for v in range(256)]))


@cache
def _noise() -> Image.Image:
    """Draw slanting threads; the same ones in every run."""
    wide, high = 1000, 300
    specks = Image.frombytes("L", (wide, high), Random(7).randbytes(wide * high))
    threads = specks.filter(ImageFilter.GaussianBlur(0.5)).resize((wide * 2, high * 4))
    slant = (1, 0.6, 0, 0, 1, 0)
    return threads.transform((1200, 1200), Image.Transform.AFFINE, slant)


Pattern: TypeAlias = Callable[[Image.Image, Fabric, int], None]
PATTERNS: dict[str, Pattern] = {
    "plain": _plain,
    "striped": _stripes,
    "pinstriped": _pinstripes,
    "checked": _checks,
    "polka dot": _dots,
    "floral": _flowers,
    "colour block": _colour_block,
    "knit": _knit,
    "denim": _denim,
}
