"""Charts of the last day, as the points of an SVG that templates draw."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

WIDTH: Final = 600
HEIGHT: Final = 120

LEAST_SPAN: Final = timedelta(hours=1)
GAP: Final = timedelta(minutes=5)
"""Moments that are further apart have no line between them: nobody looked meanwhile."""


@dataclass(frozen=True)
class Chart:
    """Lines in a box of WIDTH by HEIGHT, with 0 at its foot and `most` at its top."""

    lines: list[str]  # of each: the points as x,y
    areas: list[str]  # what is below them
    begins: datetime
    most: float
    last: float | None  # None: there is no value


def draw(values: Sequence[tuple[datetime, float]], *, now: datetime, least_most: float) -> Chart:
    """Draw values in time order, at least an hour; `most` is at least `least_most`."""
    begins = min([now - LEAST_SPAN, *(at for at, _ in values[:1])])
    most = max([least_most, *(value for _, value in values)])
    span = (now - begins).total_seconds()

    def place(at: datetime, value: float) -> tuple[float, float]:
        x = WIDTH * (at - begins).total_seconds() / span
        return round(x, 1), round(HEIGHT * (1 - value / most), 1)

    lines, areas = [], []
    for run in _runs(values):
        points = [place(at, value) for at, value in run]
        if len(points) == 1:  # a line needs two points
            points.append((points[0][0] + 2, points[0][1]))
        line = " ".join(f"{x},{y}" for x, y in points)
        lines.append(line)
        areas.append(f"{points[0][0]},{HEIGHT} {line} {points[-1][0]},{HEIGHT}")
    return Chart(lines, areas, begins, most, values[-1][1] if values else None)


def _runs(values: Sequence[tuple[datetime, float]]) -> Iterator[list[tuple[datetime, float]]]:
    """Yield the values between two gaps."""
    run: list[tuple[datetime, float]] = []
    for at, value in values:
        if run and at - run[-1][0] > GAP:
            yield run
            run = []
        run.append((at, value))
    if run:
        yield run
