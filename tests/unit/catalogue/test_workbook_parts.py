"""What a sheet holds beside values: pictures, merged cells, formulas without results."""

from __future__ import annotations

import io
import re
import resource
import tracemalloc
import zipfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from openpyxl import Workbook
from openpyxl.drawing.image import Image as Picture
from openpyxl.drawing.spreadsheet_drawing import AnchorMarker, TwoCellAnchor
from PIL import Image

from backend.catalogue.sources import open_source
from backend.catalogue.sources.feed import FeedRow, ImageFile, Reject
from backend.catalogue.sources.workbook_file import IN_MEMORY
from backend.catalogue.sources.workbook_parts import NO_RESULT
from backend.errors import CorruptImage, ImageTooLarge, UnreadableCatalogue

MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
RICH = "http://schemas.microsoft.com/office/spreadsheetml/2017/richdata"
OF_RICH_VALUES = {
    "xl/metadata.xml": f"""<metadata xmlns="{MAIN}" xmlns:xlrd="{RICH}">
        <futureMetadata name="XLRICHVALUE" count="2">
        <bk><extLst><ext uri="x"><xlrd:rvb i="1"/></ext></extLst></bk>
        <bk><extLst><ext uri="x"><xlrd:rvb i="0"/></ext></extLst></bk></futureMetadata>
        <valueMetadata count="2"><bk><rc t="1" v="0"/></bk><bk><rc t="1" v="1"/></bk>
        </valueMetadata></metadata>""",
    "xl/richData/rdrichvaluestructure.xml": f"""<rvStructures xmlns="{RICH}" count="1">
        <s t="_localImage"><k n="_rvRel:LocalImageIdentifier" t="i"/><k n="CalcOrigin" t="i"/></s>
        </rvStructures>""",
    "xl/richData/rdrichvalue.xml": f"""<rvData xmlns="{RICH}" count="2">
        <rv s="0"><v>0</v><v>5</v></rv><rv s="0"><v>1</v><v>5</v></rv></rvData>""",
    "xl/richData/richValueRel.xml": f"""<richValueRels xmlns="{RICH}" xmlns:r="{OFFICE}">
        <rel r:id="rId1"/><rel r:id="rId2"/></richValueRels>""",
    "xl/richData/_rels/richValueRel.xml.rels": """<Relationships
        xmlns="http://schemas.openxmlformats.org/package/2006/relationships">
        <Relationship Id="rId1" Target="../media/image1.png"/>
        <Relationship Id="rId2" Target="../media/image2.png"/></Relationships>""",
}


def png(colour: str) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (20, 20), colour).save(file, "PNG")
    return file.getvalue()


def picture(colour: str) -> Picture:
    return Picture(io.BytesIO(png(colour)))


def read(path: Path) -> list[FeedRow | Reject]:
    with closing(open_source(path)) as source:
        return list(source.read())


def rows(path: Path) -> list[FeedRow]:
    return [row for row in read(path) if isinstance(row, FeedRow)]


def colours(row: FeedRow) -> list[object]:
    files = [it for it in (row.image, *(row.further or ())) if isinstance(it, ImageFile)]
    shown = [Image.open(io.BytesIO(it.read(10_000))) for it in files]
    return [it.convert("RGB").getpixel((0, 0)) for it in shown]


def with_colours(path: Path) -> list[tuple[FeedRow, list[object]]]:
    with closing(open_source(path)) as source:
        return [(row, colours(row)) for row in source.read() if isinstance(row, FeedRow)]


def saved(folder: Path, book: Workbook) -> Path:
    book.save(folder / "a.xlsx")
    return folder / "a.xlsx"


def test_a_picture_is_the_image_of_the_row_in_which_it_lies(tmp_path: Path) -> None:
    book = Workbook()
    for cells in (["sku", "name"], ["A", "Hat"], ["B", "Cap"], ["C", "Tee"]):
        book.active.append(cells)
    book.active.add_image(picture("red"), "C2")
    book.active.add_image(picture("blue"), "D2")
    book.active.row_dimensions[3].height = 60
    low = AnchorMarker(col=2, row=2, rowOff=50 * 12_700)  # near the end of row 3
    moved = picture("lime")
    moved.anchor = TwoCellAnchor(_from=low, to=AnchorMarker(col=3, row=3, rowOff=9))
    book.active.add_image(moved)
    (_, hat), (cap, none), (tee, lime) = with_colours(saved(tmp_path, book))
    assert hat == [(255, 0, 0), (0, 0, 255)]
    assert (none, cap.warnings[0]) == ([], "no image is named")
    assert (lime, tee.warnings) == ([(0, 255, 0)], ())


def test_a_row_that_names_an_image_keeps_it(tmp_path: Path) -> None:
    book = Workbook()
    for cells in (["sku", "image"], ["A", "https://a.example/1.jpg"]):
        book.active.append(cells)
    book.active.add_image(picture("red"), "C2")
    (row,) = rows(saved(tmp_path, book))
    assert (row.fields["image_uri"], row.image) == ("https://a.example/1.jpg", None)


def test_a_picture_that_lies_in_its_cell_is_the_image(tmp_path: Path) -> None:
    book = Workbook()
    for cells in (["sku", "image"], ["A", "#VALUE!"], ["B", "#VALUE!"]):
        book.active.append(cells)
    with (
        zipfile.ZipFile(saved(tmp_path, book)) as before,
        zipfile.ZipFile(tmp_path / "b.xlsx", "w") as after,
    ):
        for name in before.namelist():
            data = before.read(name)
            for cell, number in (("B2", b"1"), ("B3", b"2")):
                place = f'r="{cell}"'.encode()
                data = data.replace(place, place + b' vm="' + number + b'"')
            after.writestr(name, data)
        for name, text in OF_RICH_VALUES.items():
            after.writestr(name, text)
        after.writestr("xl/media/image1.png", png("red"))
        after.writestr("xl/media/image2.png", png("blue"))
    (first, blue), (_, red) = with_colours(tmp_path / "b.xlsx")
    assert (blue, red) == ([(0, 0, 255)], [(255, 0, 0)])
    assert not first.warnings


def test_the_address_of_a_formula_for_images_is_read(tmp_path: Path) -> None:
    book = Workbook()
    for cells in (["sku", "image"], ["A", '=_xlfn.IMAGE("https://a.example/1.jpg")']):
        book.active.append(cells)
    (row,) = rows(saved(tmp_path, book))
    assert row.fields["image_uri"] == "https://a.example/1.jpg"


def test_a_merged_cell_counts_for_all_its_rows(tmp_path: Path) -> None:
    book = Workbook()
    for cells in (["category", "sku"], ["Hats", "A"], [None, "B"], [None, None], [None, "C"]):
        book.active.append(cells)
    book.active.merge_cells("A2:A4")
    found = rows(saved(tmp_path, book))
    types = [(it.sku, it.fields.get("article_type")) for it in found]
    assert types == [("A", "Hats"), ("B", "Hats"), ("C", None)]


def test_a_formula_without_its_result_is_named(tmp_path: Path) -> None:
    book = Workbook()
    for cells in (["sku", "size"], ["A", "=1+1"], ["=A2", 40]):
        book.active.append(cells)
    shirt, reject = read(saved(tmp_path, book))
    assert f"size: {NO_RESULT}; left out" in getattr(shirt, "warnings", ())
    assert reject == Reject(3, None, f"the sku is empty ({NO_RESULT})")


def with_pictures(folder: Path, *rows: str) -> Path:
    """Write a workbook with these skus, each with a picture."""
    book = Workbook()
    book.active.append(["sku", "name"])
    for at, sku in enumerate(rows, 2):
        book.active.append([sku, "Hat"])
        book.active.add_image(picture("red"), f"C{at}")
    return saved(folder, book)


def changed(path: Path, part: str, change: Callable[[bytes], bytes]) -> Path:
    with zipfile.ZipFile(path) as before, zipfile.ZipFile(path.parent / "b.xlsx", "w") as after:
        for name in before.namelist():
            data = before.read(name)
            after.writestr(name, change(data) if name == part else data, zipfile.ZIP_DEFLATED)
    return path.parent / "b.xlsx"


def test_an_image_of_many_rows_takes_no_memory_until_it_is_read(tmp_path: Path) -> None:
    path = with_pictures(tmp_path, *"ABCDEFGH")
    large = changed(path, "xl/media/image1.png", lambda data: data + bytes(10**7))
    tracemalloc.start()
    try:
        with closing(open_source(large)) as source:
            images = [row.image for row in source.read() if isinstance(row, FeedRow)]
            assert tracemalloc.get_traced_memory()[1] < 10**7
            assert isinstance(images[0], ImageFile)
            assert len(images[0].read(2 * 10**7)) == images[0].size > 10**7
            with pytest.raises(ImageTooLarge, match=r"image1\.png has 10,000,\d+ bytes"):
                images[0].read(10**7)
    finally:
        tracemalloc.stop()
    assert len(images) == 8
    assert all(images)


def test_pictures_that_are_damaged_or_missing_are_named(tmp_path: Path) -> None:
    rels = "xl/drawings/_rels/drawing1.xml.rels"
    path = changed(with_pictures(tmp_path, "A", "B"), rels, lambda it: it.replace(b"e2", b"e7"))
    data = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as file:
        at = file.getinfo("xl/media/image1.png").header_offset
    data[at + 70] ^= 255
    path.write_bytes(data)
    with closing(open_source(path)) as source:
        hat, cap = [row for row in source.read() if isinstance(row, FeedRow)]
        assert hat.image
        with pytest.raises(CorruptImage, match=r"image1\.png in the workbook is damaged"):
            hat.image.read(10_000)
    assert cap.image is None
    assert cap.warnings[0] == "the picture xl/media/image7.png is not in the workbook"


def test_a_very_large_drawing_is_left_out_with_a_warning(tmp_path: Path) -> None:
    part = "xl/drawings/drawing1.xml"
    path = changed(with_pictures(tmp_path, "A"), part, lambda data: data + b" " * 10**7)
    with closing(open_source(path)) as source:
        (remark,) = source.describe().remarks
        (row,) = [row for row in source.read() if isinstance(row, FeedRow)]
    assert remark.startswith(f"the pictures of the sheet are not all read: {part} has 10,0")
    assert (row.sku, row.image) == ("A", None)


def test_a_drawing_that_is_named_twice_is_read_once(tmp_path: Path) -> None:
    def twice(data: bytes) -> bytes:
        (one,) = re.findall(rb"<Relationship .*?/>", data)
        return data.replace(one, one + one.replace(b"rId1", b"rId2"))

    rels = "xl/worksheets/_rels/sheet1.xml.rels"
    ((_, shown),) = with_colours(changed(with_pictures(tmp_path, "A"), rels, twice))
    assert shown == [(255, 0, 0)]


def test_a_fault_of_the_host_is_not_charged_to_the_workbook(tmp_path: Path) -> None:
    inner = with_pictures(tmp_path, "A")
    with zipfile.ZipFile(inner, "a") as file:
        file.writestr("xl/media/large.bin", bytes(IN_MEMORY))
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as file:
        file.write(inner, "a.xlsx")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (IN_MEMORY // 2, before[1]))
    try:
        with pytest.raises(UnreadableCatalogue, match="the file cannot be read: File too large"):
            open_source(tmp_path / "a.zip")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
