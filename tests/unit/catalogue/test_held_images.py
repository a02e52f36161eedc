"""Images that cells hold themselves are read; what is wrong with one is said of its row alone."""

from __future__ import annotations

import base64
import json
from contextlib import closing
from pathlib import Path

import pytest
from openpyxl import Workbook

from backend.catalogue.sources import open_source
from backend.catalogue.sources.feed import FeedRow, ImageFile
from backend.catalogue.sources.held_images import held_image
from backend.errors import ImageTooLarge

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256))
JPEG = b"\xff\xd8\xff\xe0" + bytes(range(256))


def data(content: bytes, kind: str = "image/png") -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def row_of(path: Path) -> FeedRow:
    with closing(open_source(path)) as source:
        (row,) = source.read()
    assert isinstance(row, FeedRow)
    return row


def images(row: FeedRow) -> list[bytes | str]:
    return [
        it.read(10_000) if isinstance(it, ImageFile) else it
        for it in (row.image or row.fields.get("image_uri"), *(row.further or ()))
        if it is not None
    ]


def in_csv(folder: Path, cell: str) -> FeedRow:
    path = folder / "feed.csv"
    path.write_text(f'sku,name,image\nA,Hat,"{cell}"\n', encoding="utf-8")
    return row_of(path)


@pytest.mark.parametrize(
    "cell",
    [
        pytest.param(data(PNG), id="an address"),
        pytest.param(data(PNG).rstrip("="), id="without the signs at its end"),
        pytest.param(data(PNG).replace("base64,", "base64,\n", 1), id="with a line end"),
        pytest.param(base64.b64encode(PNG).decode(), id="Base64 alone"),
        pytest.param(base64.encodebytes(PNG).decode(), id="Base64 in lines"),
    ],
)
def test_an_image_in_a_cell_is_read(tmp_path: Path, cell: str) -> None:
    row = in_csv(tmp_path, cell)
    assert images(row) == [PNG]
    assert not row.warnings


def test_an_image_in_a_cell_is_read_in_every_kind_of_table(tmp_path: Path) -> None:
    item = {"sku": "A", "name": "Hat", "image": data(PNG)}
    (tmp_path / "a.json").write_text(json.dumps([item]), encoding="utf-8")
    (tmp_path / "a.jsonl").write_text(json.dumps(item) + "\n", encoding="utf-8")
    inside = "".join(f"<{name}>{value}</{name}>" for name, value in item.items())
    (tmp_path / "a.xml").write_text(f"<all><product>{inside}</product></all>", encoding="utf-8")
    book = Workbook()
    book.active.append(list(item))
    book.active.append(list(item.values()))
    book.save(tmp_path / "a.xlsx")
    for kind in ("json", "jsonl", "xml", "xlsx"):
        assert images(row_of(tmp_path / f"a.{kind}")) == [PNG], kind


def test_several_images_in_a_cell_are_read_in_order(tmp_path: Path) -> None:
    address = "https://a.example/1.jpg"
    row = in_csv(tmp_path, f"{data(PNG)}|{data(JPEG, 'image/jpeg')} , {address}")
    assert images(row) == [PNG, JPEG, address]


def test_images_of_a_list_in_json_are_read(tmp_path: Path) -> None:
    item = {"sku": "A", "name": "Hat", "images": [{"src": data(PNG)}, {"src": data(JPEG)}]}
    (tmp_path / "a.json").write_text(json.dumps([item]), encoding="utf-8")
    assert images(row_of(tmp_path / "a.json")) == [PNG, JPEG]


def test_text_in_an_address_is_read_as_it_is_written(tmp_path: Path) -> None:
    row = in_csv(tmp_path, "data:image/svg+xml;utf8,%3Csvg/%3E")
    assert images(row) == [b"<svg/>"]


@pytest.mark.parametrize(
    ("cell", "reason"),
    [
        ("data:image/png;base64,iVBOR§", "its Base64 is wrong"),
        ("data:image/png;base64,A", "its Base64 is wrong"),
        ("data:image/png;base64", "without its comma"),
        ("data:image/png;base64,", "is empty"),
    ],
)
def test_a_damaged_image_in_a_cell_is_named_and_its_row_is_kept(
    tmp_path: Path, cell: str, reason: str
) -> None:
    row = in_csv(tmp_path, cell)
    assert (row.sku, images(row)) == ("A", [])
    assert reason in row.warnings[0]


def test_a_held_image_keeps_to_the_limit() -> None:
    with pytest.raises(ImageTooLarge, match="264 bytes, more than 100"):
        held_image(PNG).read(100)
