"""The contact sheet: the boxes of its parts, and its frames."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import pytest
from PIL import Image

from backend.lab.contact_sheet import (
    HIT,
    MISS,
    MISSING,
    SheetLayout,
    SheetRow,
    SheetTile,
    contact_sheet,
    save,
    shorten,
    wrap,
)

BLUE = (20, 60, 200)
WHITE = (255, 255, 255)


def plain_image(size: tuple[int, int] = (60, 80), mode: str = "RGB") -> Image.Image:
    return Image.new("RGB", size, BLUE).convert(mode)


def middle_of(box: tuple[int, int, int, int]) -> tuple[int, int]:
    return (box[0] + box[2]) // 2, (box[1] + box[3]) // 2


def one_row(*neighbours: SheetTile) -> list[SheetRow]:
    return [SheetRow(SheetTile(image=plain_image()), neighbours)]


def has_ink(sheet: Image.Image, box: tuple[int, int, int, int]) -> bool:
    return len(sheet.crop(box).getcolors(1 << 20) or []) > 1


def test_the_sheet_is_as_large_as_its_layout_says() -> None:
    rows = [
        SheetRow(SheetTile(image=plain_image()), [SheetTile(image=plain_image())] * n)
        for n in (3, 5)
    ]
    assert contact_sheet(rows).size == SheetLayout(rows=2, columns=6).size


def test_the_query_is_on_the_left_and_neighbours_follow_in_order() -> None:
    colours = [(200, 0, 0), (0, 200, 0), (0, 0, 200)]
    tiles = [SheetTile(image=Image.new("RGB", (6, 8), colour)) for colour in colours]
    sheet = contact_sheet([SheetRow(tiles[0], tiles[1:])])
    layout = SheetLayout(rows=1, columns=3)
    seen = [sheet.getpixel(middle_of(layout.image(0, column))) for column in range(3)]
    assert seen == colours


@pytest.mark.parametrize("lines", [1, 2, 3])
def test_no_image_score_or_caption_overlaps_another(lines: int) -> None:
    layout = SheetLayout(rows=3, columns=4, caption_lines=lines)
    boxes = []
    for row in range(3):
        for column in range(4):
            captions = [layout.caption(row, column, line) for line in range(lines)]
            inner = [layout.image(row, column), layout.score(row, column), *captions]
            left, top, right, bottom = layout.cell(row, column)
            for box in inner:
                assert left <= box[0] < box[2] <= right
                assert top <= box[1] < box[3] <= bottom
            boxes += inner
    for a, b in combinations(boxes, 2):
        assert a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1]
    assert max(box[2] for box in boxes) < layout.size[0]
    assert max(box[3] for box in boxes) < layout.size[1]


@pytest.mark.parametrize(("hit", "frame"), [(True, HIT), (False, MISS)])
def test_a_scored_neighbour_is_framed(hit: bool, frame: tuple[int, int, int]) -> None:
    sheet = contact_sheet(one_row(SheetTile(image=plain_image(), hit=hit)))
    left, top, right, bottom = SheetLayout(rows=1, columns=2).image(0, 1)
    x, y = middle_of((left, top, right, bottom))
    for at in ((left - 1, y), (right, y), (x, top - 1), (x, bottom)):
        assert sheet.getpixel(at) == frame


def test_an_unscored_neighbour_is_neither_green_nor_red() -> None:
    sheet = contact_sheet(one_row(SheetTile(image=plain_image())))
    colours = {colour for _, colour in sheet.getcolors(1 << 20) or []}
    assert not colours & {HIT, MISS}


def test_a_missing_image_is_a_grey_tile() -> None:
    sheet = contact_sheet(one_row(SheetTile(image=None, hit=True)))
    left, top, right, _ = SheetLayout(rows=1, columns=2).image(0, 1)
    assert sheet.getpixel((left + 5, top + 5)) == MISSING
    assert sheet.getpixel((right, top + 5)) == HIT


def test_images_of_other_shapes_are_letterboxed_and_never_cropped() -> None:
    wide = Image.new("RGB", (400, 100), BLUE)
    wide.putpixel((0, 0), (0, 0, 0))
    sheet = contact_sheet(one_row(SheetTile(image=wide)), tile=(400, 400))
    left, top, right, bottom = SheetLayout(rows=1, columns=2, tile=(400, 400)).image(0, 1)
    x, y = middle_of((left, top, right, bottom))
    assert sheet.getpixel((x, top + 20)) == WHITE
    assert sheet.getpixel((x, bottom - 20)) == WHITE
    assert sheet.getpixel((right - 1, y)) == BLUE
    assert sheet.getpixel((left, top + 150)) == (0, 0, 0)


@pytest.mark.parametrize("mode", ["L", "P", "CMYK", "RGBA"])
def test_images_of_other_modes_are_shown(mode: str) -> None:
    sheet = contact_sheet(one_row(SheetTile(image=plain_image(mode=mode))))
    assert sheet.getpixel(middle_of(SheetLayout(rows=1, columns=2).image(0, 1))) != WHITE


def test_transparency_is_shown_on_white() -> None:
    sheet = contact_sheet(one_row(SheetTile(image=Image.new("RGBA", (6, 8), (0, 0, 0, 0)))))
    assert sheet.getpixel(middle_of(SheetLayout(rows=1, columns=2).image(0, 1))) == WHITE


def test_scores_and_captions_are_written_in_their_boxes() -> None:
    layout = SheetLayout(rows=1, columns=3)
    written = SheetTile(
        image=plain_image(), score=0.75, caption="Red shirt with long sleeves and a collar"
    )
    sheet = contact_sheet(one_row(written, SheetTile(image=plain_image())))
    for box in (layout.score(0, 1), layout.caption(0, 1, 0), layout.caption(0, 1, 1)):
        assert has_ink(sheet, box)
    for box in (layout.score(0, 2), layout.caption(0, 2, 0)):
        assert not has_ink(sheet, box)


def test_hit_and_miss_are_written_too() -> None:
    layout = SheetLayout(rows=1, columns=3)
    sheet = contact_sheet(
        one_row(SheetTile(image=plain_image(), hit=True), SheetTile(image=plain_image(), hit=False))
    )
    hit, miss = (sheet.crop(layout.score(0, column)) for column in (1, 2))
    assert has_ink(sheet, layout.score(0, 1))
    assert hit.tobytes() != miss.tobytes()


def test_the_title_moves_the_rows_down() -> None:
    rows = one_row(SheetTile(image=plain_image()))
    plain, titled = contact_sheet(rows), contact_sheet(rows, title="Similar", subtitle="to these")
    assert titled.height > plain.height
    assert has_ink(titled, (24, 24, plain.width - 24, 60))


def test_captions_break_between_words_and_end_in_an_ellipsis() -> None:
    text = "Norrland Women Striped Navy Blue Round Neck Sweater With Pockets"
    lines = wrap(text, width=150, lines=2)
    assert len(lines) == 2
    assert lines[1].endswith("…")
    assert text.startswith(f"{lines[0]} {lines[1].removesuffix('…')}")


def test_a_caption_that_fits_is_left_whole() -> None:
    assert wrap("Red shirt", width=150, lines=2) == ["Red shirt"]
    assert wrap("", width=150, lines=2) == []


def test_one_long_word_is_shortened_to_the_width() -> None:
    line = wrap("x" * 200, width=100, lines=3)[0]
    assert line.endswith("…")
    assert shorten(line, size=13, width=100) == line


def test_a_sheet_without_rows_is_still_an_image() -> None:
    assert contact_sheet([], title="Nothing found").size[0] > 0


def test_saving_makes_the_folder_and_keeps_the_pixels(tmp_path: Path) -> None:
    sheet = contact_sheet(one_row(SheetTile(image=plain_image(), hit=True, score=1)))
    path = tmp_path / "a" / "b" / "sheet.png"
    save(sheet, path)
    with Image.open(path) as read:
        assert read.tobytes() == sheet.tobytes()
