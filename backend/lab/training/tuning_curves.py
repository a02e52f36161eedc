"""The curves of a run: as one image, and for TensorBoard where it is installed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from PIL import Image, ImageDraw

from backend.files import replace_file
from backend.lab.training.tensorboard import open_writer

CURVES_IMAGE: Final = "curves.png"
WIDTH, HEIGHT, MARGIN = 480, 240, 36
COLOURS: Final = ("#1f77b4", "#ff7f0e", "#2ca02c", "#d62728", "#9467bd", "#8c564b", "#e377c2")

Curve = tuple[str, list[float]]


def draw_curves(folder: Path, history: Sequence[Mapping[str, Any]]) -> None:
    """Draw the curves of all epochs so far; add the last epoch to TensorBoard's."""
    series = dict(_series(history))
    panels = [
        {name: values for name, values in series.items() if name.startswith(start)}
        for start in ("loss", "seen", "unseen")
    ]
    shown = [panel for panel in panels if panel]
    sheet = Image.new("RGB", (WIDTH, HEIGHT * len(shown)), "white")
    for position, panel in enumerate(shown):
        _panel(ImageDraw.Draw(sheet), panel, top=position * HEIGHT)
    replace_file(folder / CURVES_IMAGE, lambda draft: sheet.save(draft, "PNG"))
    writer = open_writer(folder, purge_step=len(history))
    if writer:
        with writer:
            for name, values in series.items():
                writer.add_scalar(name, values[-1], len(history))


def _series(history: Sequence[Mapping[str, Any]]) -> Iterator[Curve]:
    first = history[0]
    for part in first["losses"]:
        yield f"loss/{part}", [entry["losses"][part] for entry in history]
    for group, by_label in first["scores"].items():
        for by in by_label:
            yield f"{group}/{by}", [entry["scores"][group][by] for entry in history]


def _panel(pencil: ImageDraw.ImageDraw, panel: Mapping[str, list[float]], *, top: int) -> None:
    values = [value for curve in panel.values() for value in curve]
    low, high = min(values), max(values)
    left, right, bottom = MARGIN, WIDTH - 190, top + HEIGHT - MARGIN
    pencil.rectangle([left, top + 12, right, bottom], outline="#bbbbbb")
    pencil.text((2, top + 10), f"{high:.2f}", "black")
    pencil.text((2, bottom - 10), f"{low:.2f}", "black")
    for number, (name, curve) in enumerate(panel.items()):
        colour = COLOURS[number % len(COLOURS)]
        points = [
            (
                left + (right - left) * place / max(len(curve) - 1, 1),
                bottom - (bottom - top - 12) * (value - low) / max(high - low, 1e-9),
            )
            for place, value in enumerate(curve)
        ]
        pencil.line(points, colour, 2)
        pencil.text((right + 6, top + 10 + 14 * number), f"{name} {curve[-1]:.3f}", colour)
