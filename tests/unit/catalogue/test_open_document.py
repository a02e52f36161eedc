"""OpenDocument spreadsheets: their cells as a person sees them, their sheets and their pictures."""

from __future__ import annotations

import tracemalloc
import zipfile
from contextlib import closing
from pathlib import Path

import pytest

from backend.catalogue.sources import open_source
from backend.catalogue.sources.feed import FeedRow, ImageFile, Reject
from backend.errors import UnreadableCatalogue

SPACES = " ".join(
    f'xmlns:{prefix}="urn:oasis:names:tc:opendocument:xmlns:{name}:1.0"'
    for prefix, name in (
        *(("office", "office"), ("table", "table"), ("text", "text")),
        *(("style", "style"), ("draw", "drawing")),
    )
)
STYLES = """<office:automatic-styles>
<style:style style:name="ta1" style:family="table"><style:table-properties/></style:style>
<style:style style:name="ta2" style:family="table"><style:table-properties table:display="false"/>
</style:style></office:automatic-styles>"""


def text(value: str, **more: str) -> str:
    said = "".join(f' table:{name.replace("_", "-")}="{it}"' for name, it in more.items())
    return (
        f'<table:table-cell office:value-type="string"{said}><text:p>{value}</text:p>'
        "</table:table-cell>"
    )


def number(value: float, shown: str, kind: str = "float", more: str = "") -> str:
    return (
        f'<table:table-cell office:value-type="{kind}" office:value="{value}"{more}>'
        f"<text:p>{shown}</text:p></table:table-cell>"
    )


def row(*cells: str, repeated: int = 1) -> str:
    often = f' table:number-rows-repeated="{repeated}"' if repeated > 1 else ""
    return f"<table:table-row{often}>{''.join(cells)}</table:table-row>"


EMPTY = '<table:table-cell table:number-columns-repeated="1000"/>'
HEADER = row(text("sku"), text("name"), text("price"), text("size"), EMPTY)


def sheet(*rows: str, name: str = "Products", style: str = "ta1") -> str:
    return (
        f'<table:table table:name="{name}" table:style-name="{style}">{"".join(rows)}'
        f"{row(EMPTY, repeated=1_048_000)}</table:table>"
    )


def written(folder: Path, *sheets: str, **members: bytes) -> Path:
    path = folder / "feed.ods"
    content = (
        f'<?xml version="1.0" encoding="UTF-8"?><office:document-content {SPACES}>{STYLES}'
        f"<office:body><office:spreadsheet>{''.join(sheets)}</office:spreadsheet></office:body>"
        "</office:document-content>"
    )
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("mimetype", "application/vnd.oasis.opendocument.spreadsheet")
        file.writestr("content.xml", content)
        for name, data in members.items():
            file.writestr(f"Pictures/{name}.png", data)
    return path


def read(path: Path) -> list[FeedRow | Reject]:
    with closing(open_source(path)) as source:
        assert source.describe().title == "a plain table (ODS)"
        return list(source.read())


def rows(path: Path) -> list[FeedRow]:
    found = read(path)
    assert all(isinstance(it, FeedRow) for it in found)
    return [it for it in found if isinstance(it, FeedRow)]


def test_cells_give_what_they_show(tmp_path: Path) -> None:
    currency = ' office:currency="EUR"'
    first = row(text("00123"), text("Hat"), number(39.9, "39,90 €", "currency", currency))
    second = row(number(7, "007"), text("Cap"), number(10, "10"), number(40, "40"))
    path = written(tmp_path, sheet(row(text("My shop")), row(), HEADER, first, second))
    hat, cap = rows(path)
    assert (hat.line, hat.sku, hat.fields["price"]) == (4, "00123", 39.9)
    assert hat.fields["currency"] == "EUR"
    assert (cap.sku, cap.fields["display_name"]) == ("007", "Cap")
    assert cap.fields["attributes"] == {"size": 40.0}


def test_empty_rows_are_counted_and_cost_nothing(tmp_path: Path) -> None:
    gap = row(EMPTY, repeated=500)
    found = rows(written(tmp_path, sheet(HEADER, row(text("A")), gap, row(text("B")))))
    assert [(it.line, it.sku) for it in found] == [(2, "A"), (503, "B")]


def test_hidden_sheets_do_not_count_and_other_ones_are_named(tmp_path: Path) -> None:
    sheets = [
        sheet(HEADER, row(text("H")), name="Old", style="ta2"),
        sheet(row(text("remember"))),
        sheet(HEADER, row(text("A")), name="Men"),
        sheet(HEADER, row(text("B")), name="Women"),
    ]
    path = written(tmp_path, *sheets)
    assert [it.sku for it in rows(path)] == ["A"]
    with closing(open_source(path)) as source:
        assert "only the sheet 'Men' is read" in source.describe().remarks[0]


def test_pictures_and_merged_cells_belong_to_their_rows(tmp_path: Path) -> None:
    picture = '<draw:frame><draw:image xlink:href="Pictures/{}.png"/></draw:frame>'
    link = ' xmlns:xlink="http://www.w3.org/1999/xlink"'
    cells = [f"<table:table-cell{link}>{picture.format(name)}</table:table-cell>" for name in "ab"]
    header = row(text("sku"), text("category"), text("photo"))
    path = written(
        tmp_path,
        sheet(
            header,
            row(text("A"), text("Hats", number_rows_spanned="2"), cells[0]),
            row(text("B"), "<table:covered-table-cell/>", cells[1]),
            row(text("C"), text("Tees")),
        ),
        a=b"first",
        b=b"second",
    )
    with closing(open_source(path)) as source:
        found = [it for it in source.read() if isinstance(it, FeedRow)]
        images = [it.image.read(100) if isinstance(it.image, ImageFile) else None for it in found]
    assert [it.fields["article_type"] for it in found] == ["Hats", "Hats", "Tees"]
    assert images == [b"first", b"second", None]


def test_a_damaged_spreadsheet_is_named(tmp_path: Path) -> None:
    path = written(tmp_path, sheet(HEADER) + "<broken")
    with pytest.raises(UnreadableCatalogue, match="is not a readable workbook"):
        read(path)


def test_more_rows_than_a_sheet_can_have_are_refused(tmp_path: Path) -> None:
    path = written(tmp_path, sheet(HEADER, row(EMPTY, repeated=10**12), row(text("A"))))
    with pytest.raises(UnreadableCatalogue, match="more than 1,048,576 rows"):
        read(path)


def test_copies_of_wide_rows_are_limited_and_rows_keep_their_numbers(tmp_path: Path) -> None:
    wide = text("x", number_columns_repeated="999")
    many = [row(text(name), wide, repeated=5_000) for name in "AB"]
    found = rows(written(tmp_path, sheet(HEADER, *many, row(text("C")))))
    assert 2 < len(found) < 500
    assert (found[-2].sku, found[-1].line, found[-1].sku) == ("B", 10_002, "C")


def test_empty_cells_at_the_end_are_not_built(tmp_path: Path) -> None:
    end = '<table:table-cell table:number-columns-repeated="10000000000"/>'
    gap = '<table:table-cell table:number-columns-repeated="2"/>'
    (found,) = rows(written(tmp_path, sheet(HEADER, row(text("A"), gap, text("XL"), end))))
    assert found.fields["attributes"] == {"size": "XL"}


def test_spaces_tabs_and_line_ends_are_kept(tmp_path: Path) -> None:
    size = 'Tee<text:s/>long<text:s text:c="2"/><text:span>red<text:tab/>a</text:span>'
    cells = text("A"), text("Tee"), "<table:table-cell/>", text(size + "<text:line-break/>b")
    (found,) = rows(written(tmp_path, sheet(HEADER, row(*cells))))
    assert found.fields["attributes"] == {"size": "Tee long  red\ta\nb"}


def test_a_number_of_many_digits_is_what_it_shows(tmp_path: Path) -> None:
    digits = "12345678901234567890"
    (found,) = rows(written(tmp_path, sheet(HEADER, row(number(float(digits), digits)))))
    assert found.sku == digits


def test_only_the_beginning_of_the_kind_of_a_zip_is_read(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("mimetype", bytes(2 * 10**7))
        file.writestr("a.csv", "sku\nA\n")
    tracemalloc.start()
    try:
        with closing(open_source(tmp_path / "a.zip")) as source:
            assert [sku for _, sku in source.skus()] == ["A"]
        assert tracemalloc.get_traced_memory()[1] < 2 * 10**7
    finally:
        tracemalloc.stop()
