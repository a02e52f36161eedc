"""XLSX workbooks: their cells as a person sees them, their sheets, and what is wrong with them."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pytest
from openpyxl import Workbook
from support.image_files import colour_image

from backend.catalogue.sources import open_source
from backend.catalogue.sources.feed import FeedRow, Reject
from backend.errors import UnreadableCatalogue

HEADER = ["sku", "name", "price", "in_stock", "size"]


def written(folder: Path, rows: Sequence[Sequence[Any]], **formats: str) -> Path:
    """Write a workbook; `formats` are formats of numbers by cell, such as A2="00000"."""
    book = Workbook()
    for row in rows:
        book.active.append(list(row))
    for cell, form in formats.items():
        book.active[cell].number_format = form
    book.save(folder / "products.xlsx")
    return folder / "products.xlsx"


def read(path: Path) -> list[FeedRow]:
    """Read a catalogue, of which nothing is rejected."""
    source = open_source(path)
    try:
        skus = [sku for _, sku in source.skus()]
        rows = list(source.read())
    finally:
        source.close()
    assert not [row for row in rows if isinstance(row, Reject)]
    assert [row.sku for row in rows] == skus
    return [row for row in rows if isinstance(row, FeedRow)]


def test_numbers_that_are_kept_as_text_stay_as_they_are(tmp_path: Path) -> None:
    path = written(tmp_path, [HEADER, ["00123", "Shirt", "39,90", True, "40"]])
    (row,) = read(path)
    assert (row.line, row.sku, row.fields["price"], row.fields["in_stock"]) == (
        *(2, "00123", 39.9, True),
    )
    assert row.fields["attributes"] == {"size": "40"}


def test_numbers_have_what_their_format_shows(tmp_path: Path) -> None:
    rows = [HEADER, [123, "Shirt", 39.899999999999999, 0, 40], [4006381333931, "Hat", 1.5, 2, 0.3]]
    path = written(
        tmp_path, rows, A2="00000", C2='#,##0.00\\ "€"', C3="[$£-809]#,##0.00", E3="0.00"
    )
    shirt, hat = read(path)
    assert (shirt.sku, shirt.fields["price"], shirt.fields["currency"]) == ("00123", 39.9, "EUR")
    assert (hat.sku, hat.fields["price"], hat.fields["currency"]) == ("4006381333931", 1.5, "GBP")
    assert (shirt.fields["in_stock"], hat.fields["in_stock"]) == (False, True)
    assert (shirt.fields["attributes"], hat.fields["attributes"]) == ({"size": 40}, {"size": 0.3})


def test_dates_become_iso_texts_and_give_the_year(tmp_path: Path) -> None:
    rows = [
        ["sku", "year", "launched", "counted"],
        ["1", date(2024, 3, 1), datetime(2024, 3, 1), datetime(2024, 3, 1, 12, 30)],  # noqa: DTZ001 - a cell has no zone
    ]
    (row,) = read(written(tmp_path, rows))
    assert row.fields["year"] == 2024
    assert row.fields["attributes"] == {"launched": "2024-03-01", "counted": "2024-03-01 12:30:00"}


def test_a_sum_of_floats_has_the_digits_that_the_sheet_shows(tmp_path: Path) -> None:
    (row,) = read(written(tmp_path, [["sku", "weight"], ["1", 0.1 + 0.2]]))
    assert row.fields["attributes"] == {"weight": 0.3}


def test_a_cell_with_an_error_is_left_out_with_a_warning(tmp_path: Path) -> None:
    (row,) = read(written(tmp_path, [HEADER, ["1", "Shirt", "#REF!", True, "S"]]))
    assert row.fields["price"] is None
    assert "price: the cell holds the error #REF!; left out" in row.warnings


def test_a_title_empty_rows_and_a_second_header_are_passed_over(tmp_path: Path) -> None:
    rows = [["Our price list", None], [], HEADER, ["1", "A"], [], [None, None], HEADER, ["2", "B"]]
    assert [(row.line, row.sku) for row in read(written(tmp_path, rows))] == [(4, "1"), (8, "2")]


def test_the_first_shown_sheet_with_a_sku_is_read(tmp_path: Path) -> None:
    book = Workbook()
    book.active.append(["How to fill in this file"])
    hidden, template, other = (book.create_sheet(name) for name in ("Old", "Template", "More"))
    hidden.sheet_state = "hidden"
    for sheet, sku in ((hidden, "old"), (template, "new"), (other, "other")):
        sheet.append(["seller-sku", "item-name"])
        sheet.append([sku, "Shirt"])
    book.save(tmp_path / "book.xlsx")
    assert [row.sku for row in read(tmp_path / "book.xlsx")] == ["new"]


def test_a_sheet_that_says_a_wrong_size_is_read_whole(tmp_path: Path) -> None:
    path = written(tmp_path, [HEADER, ["1", "A"], ["2", "B"]])
    _rewrite(path, "xl/worksheets/sheet1.xml", lambda xml: xml.replace(b"A1:E3", b"A1"))
    assert [(row.sku, row.fields["display_name"]) for row in read(path)] == [("1", "A"), ("2", "B")]


def test_images_lie_beside_the_workbook_and_in_a_zip_with_it(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "1.jpg").write_bytes(colour_image("red", format="JPEG"))
    path = written(tmp_path, [["sku", "image"], ["1", "images/1.jpg"]])
    with zipfile.ZipFile(tmp_path / "shop.zip", "w") as archive:
        for each in ("products.xlsx", "images/1.jpg"):
            archive.write(tmp_path / each, f"shop/{each}")
    for catalogue in (path, tmp_path / "shop.zip"):
        (row,) = read(catalogue)
        assert row.image
        assert row.image.size == (tmp_path / "images" / "1.jpg").stat().st_size


def test_a_folder_with_one_workbook_is_a_catalogue(tmp_path: Path) -> None:
    written(tmp_path, [HEADER, ["1", "A"]])
    assert [row.sku for row in read(tmp_path)] == ["1"]


def test_the_platform_is_recognised(tmp_path: Path) -> None:
    rows = [
        ["Handle", "Title", "Variant SKU", "Variant Price", "Image Src"],
        ["shirt", "Shirt", "S-1", 9.9, "https://shop.example/1.jpg"],
        ["shirt", None, "S-2", 8, None],
    ]
    first, second = read(written(tmp_path, rows))
    assert (second.sku, second.fields["display_name"], second.fields["price"]) == (
        "S-2",
        "Shirt",
        8,
    )
    assert first.fields["group_id"] == second.fields["group_id"] == "shirt"


@pytest.mark.parametrize(
    "damage",
    [
        lambda xml: xml[: len(xml) // 2],
        lambda xml: xml.replace(b"</row>", b"", 1),
        lambda xml: b"",
    ],
)
def test_a_damaged_workbook_is_named(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    path = written(tmp_path, [HEADER, ["1", "A"]])
    _rewrite(path, "xl/worksheets/sheet1.xml", damage)
    with pytest.raises(UnreadableCatalogue, match=r"products\.xlsx"):
        read(path)


def test_a_workbook_without_rows_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnreadableCatalogue, match="holds no rows"):
        read(written(tmp_path, []))


def test_a_workbook_that_is_cut_off_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, [HEADER, ["1", "A"]])
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(UnreadableCatalogue, match="cut off or damaged"):
        read(path)


def _rewrite(path: Path, part: str, change: Callable[[bytes], bytes]) -> None:
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    parts[part] = change(parts[part])
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in parts.items():
            archive.writestr(name, data)
