"""Outlines: points, and smooth curves through them.

A unit is one pixel of the finished image, which is 240 wide and 320 high. x counts from the
vertical middle, because most garments are the same on both sides; y counts down from the top.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import TypeAlias

Point: TypeAlias = tuple[float, float]
Path: TypeAlias = list[Point]

_STEPS = 8  # straight pieces a curve is drawn with between two of its points


def curve(*points: Point) -> Path:
    """Draw a smooth line through the points, ends included.

    A centripetal Catmull-Rom spline: unlike the uniform one it makes no loops at corners.
    """
    if len(points) < 3:
        return list(points)
    before = _beyond(points[1], points[0])
    after = _beyond(points[-2], points[-1])
    knots = [before, *points, after]
    path = [
        _between(knots[i : i + 4], step / _STEPS)
        for i in range(len(points) - 1)
        for step in range(_STEPS)
    ]
    return [*path, points[-1]]


def _beyond(inner: Point, end: Point) -> Point:
    return 2 * end[0] - inner[0], 2 * end[1] - inner[1]


def _between(knots: Sequence[Point], share: float) -> Point:
    """Return the point between the second and the third of four knots (Barry and Goldman)."""
    times = [0.0]
    for a, b in pairwise(knots):
        times.append(times[-1] + max(math.dist(a, b), 1e-6) ** 0.5)
    t = times[1] + (times[2] - times[1]) * share
    row = list(knots)
    for reach in (1, 2):
        row = [
            _blend(a, b, times[i], times[i + reach], t) for i, (a, b) in enumerate(pairwise(row))
        ]
    return _blend(row[0], row[1], times[1], times[2], t)


def _blend(a: Point, b: Point, start: float, end: float, t: float) -> Point:
    share = (t - start) / (end - start)
    return a[0] + (b[0] - a[0]) * share, a[1] + (b[1] - a[1]) * share


def trace(outline: str) -> Path:
    """Read an outline: `x,y` is a corner; points in parentheses lie on one smooth curve.

    `trace("0,40 (20,40 30,50 30,80) 0,90")` is the right half of a slab with a rounded corner.
    """
    path: Path = []
    for smooth, corner in re.findall(r"\(([^)]*)\)|(\S+)", outline):
        points = [_point(pair) for pair in (smooth or corner).split()]
        path += curve(*points) if smooth else points
    return path


def _point(pair: str) -> Point:
    x, y = pair.split(",")
    return float(x), float(y)


def flip(path: Sequence[Point]) -> Path:
    """Reflect a path left to right."""
    return [(-x, y) for x, y in path]


def both(right: Sequence[Point]) -> tuple[Path, Path]:
    """Return a path and its reflection: two sleeves, two pockets."""
    return list(right), flip(right)


def mirror(right: Sequence[Point]) -> Path:
    """Close the right half of an outline with its reflection; it starts and ends at x = 0."""
    return [*right, *reversed(flip(right))]


def shift(path: Sequence[Point], x: float, y: float) -> Path:
    """Move a path."""
    return [(px + x, py + y) for px, py in path]


def turn(path: Sequence[Point], degrees: float, *, about: Point = (0, 0)) -> Path:
    """Rotate a path clockwise."""
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    cx, cy = about
    return [
        (cx + (x - cx) * cos - (y - cy) * sin, cy + (x - cx) * sin + (y - cy) * cos)
        for x, y in path
    ]


def oval(x: float, y: float, rx: float, ry: float, *, squareness: float = 2) -> Path:
    """Draw a superellipse, closed: squareness 2 is an ellipse, 4 a cushion, 10 nearly a box."""
    path = []
    for step in range(49):
        cos, sin = math.cos(step * math.tau / 48), math.sin(step * math.tau / 48)
        dx, dy = abs(cos) ** (2 / squareness), abs(sin) ** (2 / squareness)
        path.append((x + math.copysign(dx * rx, cos), y + math.copysign(dy * ry, sin)))
    return path


def box(left: float, top: float, right: float, bottom: float) -> Path:
    """Draw a rectangle."""
    return [(left, top), (right, top), (right, bottom), (left, bottom)]


def band(path: Sequence[Point], width: float, *, end_width: float | None = None) -> Path:
    """Give a line a width (which may change evenly to `end_width`): a strap, a strip, a fold."""
    end_width = width if end_width is None else end_width
    left, right = [], []
    for i, (x, y) in enumerate(path):
        (x0, y0), (x1, y1) = path[max(i - 1, 0)], path[min(i + 1, len(path) - 1)]
        length = math.hypot(x1 - x0, y1 - y0) or 1
        half = (width + (end_width - width) * i / max(len(path) - 1, 1)) / 2
        nx, ny = -(y1 - y0) / length * half, (x1 - x0) / length * half
        left.append((x + nx, y + ny))
        right.append((x - nx, y - ny))
    return [*left, *reversed(right)]


def dashes(path: Sequence[Point], dash: float = 2.4, gap: float = 1.8) -> Iterator[Path]:
    """Cut a line into the stitches of a seam."""
    travelled = 0.0
    for (x0, y0), (x1, y1) in pairwise(path):
        length = math.hypot(x1 - x0, y1 - y0)
        at = -travelled % (dash + gap)
        while at < length:
            end = min(at + dash, length)
            yield [
                (x0 + (x1 - x0) * at / length, y0 + (y1 - y0) * at / length),
                (x0 + (x1 - x0) * end / length, y0 + (y1 - y0) * end / length),
            ]
            at += dash + gap
        travelled += length
