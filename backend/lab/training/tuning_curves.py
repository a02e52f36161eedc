"""The curves of a run: as one image, and for TensorBoard where it is installed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from PIL import Image, ImageDraw, ImageFont

from backend.files import replace_file
from backend.lab.training.tensorboard import open_writer

CURVES_IMAGE: Final = "curves.png"
PLOT: Final = (300, 190)  # pixels of a panel inside its frame
LEFT, ABOVE, BELOW, GAP = 44, 34, 30, 10  # around it
ENTRY: Final = 17  # height of a line of the legend
DOT: Final = 2.5  # radius of an epoch's point
COLOURS: Final = (
    *("#1f77b4", "#ff7f0e", "#2ca02c", "#d62728", "#9467bd", "#8c564b", "#e377c2"),
    *("#7f7f7f", "#bcbd22", "#17becf"),
)
TITLES: Final = {
    "loss": "loss, weighted parts",
    "seen": "mAP@5, products held out",
    "unseen": "mAP@5, unseen categories",
}
"""Of the panels, by the first part of a curve's name."""

Curve = tuple[str, list[float]]

_FONT: Final = ImageFont.load_default(12)


def draw_curves(folder: Path, history: Sequence[Mapping[str, Any]]) -> None:
    """Draw the curves of all epochs so far; add the last epoch to TensorBoard's."""
    series = dict(_series(history))
    sheet = draw_sheet(series)
    replace_file(folder / CURVES_IMAGE, lambda draft: sheet.save(draft, "PNG"))
    writer = open_writer(folder, purge_step=len(history))
    if writer:
        with writer:
            for name, values in series.items():
                writer.add_scalar(name, values[-1], len(history))


def draw_sheet(series: Mapping[str, Sequence[float]]) -> Image.Image:
    """Draw a panel for each group of TITLES that has curves, with a point for each epoch.

    `series` has the values of each epoch by the name of the curve, `group/name`.
    """
    panels = [
        (title, {name: curve for name, curve in series.items() if name.startswith(f"{group}/")})
        for group, title in TITLES.items()
    ]
    shown = [(title, panel) for title, panel in panels if panel]
    entries = [_entry(name, curve) for name, curve in series.items()]
    legend = max(round(_FONT.getlength(entry)) for entry in entries)
    heights = [max(PLOT[1], ENTRY * len(panel)) + ABOVE + BELOW for _, panel in shown]
    sheet = Image.new("RGB", (LEFT + PLOT[0] + 2 * GAP + legend, sum(heights)), "white")
    pencil = ImageDraw.Draw(sheet)
    for position, (title, panel) in enumerate(shown):
        _panel(pencil, title, panel, top=sum(heights[:position]) + ABOVE)
    return sheet


def _series(history: Sequence[Mapping[str, Any]]) -> Iterator[Curve]:
    first = history[0]
    for part in first["losses"]:
        yield f"loss/{part}", [entry["losses"][part] for entry in history]
    for group, by_label in first["scores"].items():
        for by in by_label:
            yield f"{group}/{by}", [entry["scores"][group][by] for entry in history]


def _entry(name: str, curve: Sequence[float]) -> str:
    """Return a line of the legend: the name without its group, and the last value."""
    return f"{name.partition('/')[2]}  {curve[-1]:.3f}"


def _panel(
    pencil: ImageDraw.ImageDraw, title: str, panel: Mapping[str, Sequence[float]], *, top: int
) -> None:
    values = [value for curve in panel.values() for value in curve]
    low, high = min(values), max(values)
    (width, height), epochs = PLOT, len(next(iter(panel.values())))
    right, bottom = LEFT + width, top + height
    pencil.text((LEFT, top - GAP), title, "black", _FONT, anchor="ls")
    pencil.rectangle([LEFT, top, right, bottom], outline="#bbbbbb")
    pencil.text((LEFT - 6, top), f"{high:.2f}", "black", _FONT, anchor="rt")
    pencil.text((LEFT - 6, bottom), f"{low:.2f}", "black", _FONT, anchor="rs")
    pencil.text((LEFT, bottom + 4), "epoch 1", "black", _FONT)
    if epochs > 1:
        pencil.text((right, bottom + 4), str(epochs), "black", _FONT, anchor="ra")
    for number, (name, curve) in enumerate(panel.items()):
        colour = COLOURS[number % len(COLOURS)]
        points = [
            (
                LEFT + width * place / max(epochs - 1, 1),
                bottom - height * (value - low) / max(high - low, 1e-9),
            )
            for place, value in enumerate(curve)
        ]
        pencil.line(points, colour, 2)
        for x, y in points:
            pencil.ellipse([x - DOT, y - DOT, x + DOT, y + DOT], colour)
        pencil.text((right + GAP, top + ENTRY * number), _entry(name, curve), colour, _FONT)
