"""What a sheet holds beside values: pictures, merged cells, formulas without results."""

from __future__ import annotations

import io
import zipfile
from contextlib import closing
from pathlib import Path

from openpyxl import Workbook
from openpyxl.drawing.image import Image as Picture
from openpyxl.drawing.spreadsheet_drawing import AnchorMarker, TwoCellAnchor
from PIL import Image

from backend.catalogue.sources import open_source
from backend.catalogue.sources.feed import FeedRow, ImageFile, Reject
from backend.catalogue.sources.workbook_parts import NO_RESULT

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
    hat, cap, tee = rows(saved(tmp_path, book))
    assert colours(hat) == [(255, 0, 0), (0, 0, 255)]
    assert (colours(cap), cap.warnings[0]) == ([], "no image is named")
    assert (colours(tee), tee.warnings) == ([(0, 255, 0)], ())


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
    first, second = rows(tmp_path / "b.xlsx")
    assert (colours(first), colours(second)) == ([(0, 0, 255)], [(255, 0, 0)])
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
