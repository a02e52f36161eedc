"""The studio: pieces of cloth laid on white paper, and photographed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeAlias

from PIL import Image, ImageChops, ImageDraw

from sample_catalogue.colours import Colour
from sample_catalogue.fabric import SCALE, Box, Fabric
from sample_catalogue.light import blur, light_on, shadow_on_paper
from sample_catalogue.pencil import Path, Point, dashes

SIZE = (240, 320)  # width and height of the finished image, in pixels
_DRAWN = (SIZE[0] * SCALE, SIZE[1] * SCALE)

Cloth: TypeAlias = Fabric | Colour


class Sheet:
    """A sheet of white paper. What is painted later lies on top."""

    def __init__(self) -> None:
        self._image = Image.new("RGB", _DRAWN, "white")
        self._covered = Image.new("L", _DRAWN, 0)

    def paint(
        self,
        outline: Sequence[Point],
        cloth: Cloth,
        *,
        angle: float = 0,
        relief: float = 1,
        folds: Sequence[Path] = (),
        lift: float = 0,
        gloss: float = 0,
    ) -> None:
        """Lay one piece of cloth.

        angle: how far its threads turn, clockwise, in degrees
        relief: how round it looks; 0 is flat
        folds: lines along which it creases
        lift: how far it stands off what lies beneath, in units; it throws a shadow there
        gloss: strength of the highlight of leather, glass and metal, 0 to 1
        """
        points = [_drawn(p) for p in outline]
        area = _bounds(points)
        mask = _silhouette(points, area)
        if lift:
            self._cast(mask, area, lift)
        fabric = cloth if isinstance(cloth, Fabric) else Fabric(ground=cloth)
        creases = [[(x - area[0], y - area[1]) for x, y in map(_drawn, f)] for f in folds]
        light = light_on(mask, relief=relief, creases=creases, gloss=gloss)
        piece = ImageChops.hard_light(
            fabric.cut(area, angle=angle), Image.merge("RGB", (light, light, light))
        )
        self._image.paste(piece, area, mask)
        self._covered.paste(255, area, mask)

    def line(self, path: Sequence[Point], colour: Colour, width: float = 0.8) -> None:
        """Draw a lace, a zip, an edge."""
        points = [_drawn(p) for p in path]
        for layer, ink in ((self._image, colour), (self._covered, 255)):
            pen = ImageDraw.Draw(layer)
            pen.line(points, fill=ink, width=max(round(width * SCALE), 1), joint="curve")

    def stitch(self, path: Sequence[Point], colour: Colour, width: float = 0.7) -> None:
        """Draw a row of stitches."""
        for piece in dashes(path):
            self.line(piece, colour, width)

    def photograph(self) -> Image.Image:
        """Return the finished RGB image, 240 x 320, with the shadow that falls on the paper."""
        image = self._image.reduce(SCALE)
        bare = ImageChops.invert(self._covered.reduce(SCALE))
        paper = Image.composite(shadow_on_paper(bare), Image.new("L", SIZE, 255), bare)
        return ImageChops.multiply(image, Image.merge("RGB", (paper, paper, paper)))

    def _cast(self, mask: Image.Image, area: Box, lift: float) -> None:
        pad = round(4 * lift * SCALE)
        left, top, right, bottom = area
        wide = (left - pad, top - pad, right + pad, bottom + pad)
        shade = Image.new("L", (right - left + 2 * pad, bottom - top + 2 * pad), 0)
        drop = round(lift * SCALE * 0.8)
        shade.paste(140, (pad + drop // 2, pad + drop), mask)
        shade = blur(shade, lift * SCALE)
        beneath = ImageChops.multiply(shade, self._covered.crop(wide))
        self._image.paste((10, 10, 16), wide, beneath)


def _drawn(point: Point) -> Point:
    return (point[0] + SIZE[0] / 2) * SCALE, point[1] * SCALE


def _bounds(points: Sequence[Point]) -> Box:
    xs, ys = [p[0] for p in points], [p[1] for p in points]
    return math.floor(min(xs)), math.floor(min(ys)), math.ceil(max(xs)) + 1, math.ceil(max(ys)) + 1


def _silhouette(points: Sequence[Point], area: Box) -> Image.Image:
    left, top, right, bottom = area
    mask = Image.new("L", (right - left, bottom - top), 0)
    ImageDraw.Draw(mask).polygon([(x - left, y - top) for x, y in points], fill=255)
    return mask
