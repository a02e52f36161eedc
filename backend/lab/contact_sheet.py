"""A contact sheet: queries on the left, their neighbours on the right, scores and captions below.

It draws images that are already loaded, and depends neither on a catalogue nor on an index.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import takewhile
from pathlib import Path
from typing import Final, TypeAlias

from PIL import Image, ImageDraw, ImageFont, ImageOps

Box: TypeAlias = tuple[int, int, int, int]  # left, top, right, bottom; the last two excluded
Font: TypeAlias = ImageFont.FreeTypeFont | ImageFont.ImageFont

HIT: Final = (24, 140, 72)
MISS: Final = (204, 44, 44)
UNSCORED: Final = (214, 216, 220)
MISSING: Final = (228, 229, 232)
_PAPER, _PANEL = (255, 255, 255), (244, 245, 248)
_INK, _FAINT = (28, 30, 36), (104, 108, 118)

_MARGIN = 24
_GAP = 14  # between tiles
_ROW_GAP = 26
_FRAME = 4
_TITLE, _SUBTITLE, _SCORE, _CAPTION = 26, 15, 15, 13  # font sizes
_LEADING = 1.3


@dataclass(frozen=True, kw_only=True)
class SheetTile:
    """One image with the text under it.

    image: any aspect ratio, any mode that converts to RGBA; None draws a grey tile without an image
    name: not drawn; for texts that describe the sheet
    score: not drawn for a query
    hit: whether it is relevant to the query (green frame) or not (red); None: not scored
    """

    image: Image.Image | None
    name: str = ""
    caption: str = ""
    score: float | None = None
    hit: bool | None = None


@dataclass(frozen=True)
class SheetRow:
    """A query and its neighbours, best first."""

    query: SheetTile
    neighbours: Sequence[SheetTile]


@dataclass(frozen=True, kw_only=True)
class SheetLayout:
    """The boxes of everything on a sheet, in pixels. Column 0 is the query."""

    rows: int
    columns: int
    tile: tuple[int, int] = (150, 200)
    caption_lines: int = 2
    header: int = 0  # the title's height

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the whole sheet."""
        _, _, right, bottom = self.cell(max(self.rows, 1) - 1, self.columns - 1)
        return right + _MARGIN, bottom + _MARGIN

    @property
    def cell_height(self) -> int:
        """The height of an image with the text under it."""
        text = _line_height(_SCORE) + self.caption_lines * _line_height(_CAPTION)
        return self.tile[1] + 2 * _FRAME + text + _GAP // 2

    def cell(self, row: int, column: int) -> Box:
        """Return the box that a tile and its text share with no other."""
        width = self.tile[0] + 2 * _FRAME
        left = _MARGIN + column * (width + _GAP) + (2 * _GAP if column else 0)
        top = _MARGIN + self.header + row * (self.cell_height + _ROW_GAP)
        return left, top, left + width, top + self.cell_height

    def image(self, row: int, column: int) -> Box:
        """Return the box of the image inside its frame."""
        left, top, _, _ = self.cell(row, column)
        width, height = self.tile
        return left + _FRAME, top + _FRAME, left + _FRAME + width, top + _FRAME + height

    def score(self, row: int, column: int) -> Box:
        """Return the box of the score's line."""
        left, _, right, bottom = self.image(row, column)
        top = bottom + _FRAME + _GAP // 2
        return left, top, right, top + _line_height(_SCORE)

    def caption(self, row: int, column: int, line: int) -> Box:
        """Return the box of one line of the caption."""
        left, _, right, bottom = self.score(row, column)
        height = _line_height(_CAPTION)
        return left, bottom + line * height, right, bottom + (line + 1) * height


def contact_sheet(
    rows: Sequence[SheetRow],
    *,
    title: str = "",
    subtitle: str = "",
    tile: tuple[int, int] = (150, 200),
    caption_lines: int = 2,
) -> Image.Image:
    """Draw the rows one below the other: an RGB image.

    tile: width and height of an image; images are fitted into it, never cropped
    caption_lines: lines for a caption; what does not fit ends in an ellipsis
    """
    layout = SheetLayout(
        rows=len(rows),
        columns=1 + max((len(row.neighbours) for row in rows), default=0),
        tile=tile,
        caption_lines=caption_lines,
        header=_header_height(title, subtitle),
    )
    sheet = Image.new("RGB", layout.size, _PAPER)
    draw = ImageDraw.Draw(sheet)
    _write_header(draw, title, subtitle, width=layout.size[0] - 2 * _MARGIN)
    for y, row in enumerate(rows):
        _shade_query(draw, layout, y)
        for x, item in enumerate((row.query, *row.neighbours)):
            _place(sheet, item, layout, y, x)
            _write(draw, item, layout, y, x)
    return sheet


def save(sheet: Image.Image, path: Path) -> None:
    """Write a sheet in the format of the path's suffix; create missing folders."""
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(path)


def _header_height(title: str, subtitle: str) -> int:
    lines = [_line_height(s) for s, text in ((_TITLE, title), (_SUBTITLE, subtitle)) if text]
    return sum(lines) + _GAP if lines else 0


def _write_header(draw: ImageDraw.ImageDraw, title: str, subtitle: str, *, width: int) -> None:
    y = _MARGIN
    for text, size, ink in ((title, _TITLE, _INK), (subtitle, _SUBTITLE, _FAINT)):
        if text:
            draw.text((_MARGIN, y), shorten(text, size=size, width=width), ink, _font(size))
            y += _line_height(size)


def _shade_query(draw: ImageDraw.ImageDraw, layout: SheetLayout, row: int) -> None:
    left, top, right, bottom = layout.cell(row, 0)
    pad = _GAP // 2
    draw.rounded_rectangle((left - pad, top - pad, right + pad, bottom + pad), 8, _PANEL)


def _place(sheet: Image.Image, item: SheetTile, layout: SheetLayout, row: int, column: int) -> None:
    """Draw the frame and, inside it, the image on white."""
    left, top, right, bottom = layout.image(row, column)
    draw = ImageDraw.Draw(sheet)
    frame = {True: HIT, False: MISS, None: UNSCORED}[item.hit]
    width = _FRAME if item.hit is not None else 1
    edge = (left - width, top - width, right + width - 1, bottom + width - 1)
    draw.rectangle(edge, fill=_PAPER if item.image else MISSING, outline=frame, width=width)
    if item.image:
        sheet.paste(_fit(item.image, layout.tile), (left, top))
    else:
        middle = ((left + right) / 2, (top + bottom) / 2)
        draw.text(middle, "no image", _FAINT, _font(_CAPTION), anchor="mm")


def _fit(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """Letterbox an image of any mode on white."""
    opaque = Image.new("RGBA", image.size, "white")
    opaque.alpha_composite(image.convert("RGBA"))
    return ImageOps.pad(opaque.convert("RGB"), size, color="white")


def _write(
    draw: ImageDraw.ImageDraw, item: SheetTile, layout: SheetLayout, row: int, column: int
) -> None:
    label = "query" if column == 0 else _judgement(item)
    left, top, right, _ = layout.score(row, column)
    draw.text((left, top), label, _FAINT if column == 0 else _INK, _font(_SCORE))
    lines = wrap(item.caption, width=right - left, lines=layout.caption_lines)
    for i, line in enumerate(lines):
        left, top, _, _ = layout.caption(row, column, i)
        draw.text((left, top), line, _FAINT, _font(_CAPTION))


def _judgement(item: SheetTile) -> str:
    """Return the score and, for readers who do not see the colour of the frame, hit or miss."""
    score = "" if item.score is None else f"{item.score:.3f}"
    return score if item.hit is None else f"{score} {'hit' if item.hit else 'miss'}".lstrip()


def wrap(text: str, *, width: int, lines: int, size: int = _CAPTION) -> list[str]:
    """Break a text between words into at most `lines` lines of `width` pixels.

    The last line, and a single word that is too long, end in an ellipsis.
    """
    words = text.split()
    broken: list[str] = []
    while words and len(broken) < lines:
        fitting = len(list(takewhile(lambda t: _width(t, size) <= width, _growing(words))))
        take = len(words) if len(broken) == lines - 1 else max(fitting, 1)
        broken.append(shorten(" ".join(words[:take]), size=size, width=width))
        words = words[take:]
    return broken


def _growing(words: Sequence[str]) -> Iterator[str]:
    return (" ".join(words[: i + 1]) for i in range(len(words)))


def shorten(text: str, *, size: int, width: int) -> str:
    """Cut a text to `width` pixels, with an ellipsis if something is lost."""
    if _width(text, size) <= width:
        return text
    kept = len(text)
    while kept and _width(text[:kept].rstrip() + "…", size) > width:
        kept -= 1
    return text[:kept].rstrip() + "…"


def _width(text: str, size: int) -> float:
    return _font(size).getlength(text)


def _line_height(size: int) -> int:
    return round(size * _LEADING)


@cache
def _font(size: int) -> Font:
    return ImageFont.load_default(size)
