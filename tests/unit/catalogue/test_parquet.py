"""Parquet is read like any shop's table, by row groups, with the types that it has."""

from __future__ import annotations

import datetime
import sys
import zipfile
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from backend.catalogue.sources import open_source
from backend.catalogue.sources.feed import FeedRow, Reject, WarningKind, kind_of
from backend.catalogue.sources.mapping import DEFAULT_MAPPING, FeedMapping
from backend.errors import ConfigurationError, UnreadableCatalogue

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")


def parquet(path: Path, columns: dict[str, Any], *, group: int = 1000, **options: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), path, row_group_size=group, **options)
    return path


def read(path: Path, mapping: FeedMapping = DEFAULT_MAPPING) -> list[FeedRow | Reject]:
    with closing(open_source(path, mapping)) as source:
        return list(source.read())


def only(path: Path, mapping: FeedMapping = DEFAULT_MAPPING) -> FeedRow:
    (row,) = read(path, mapping)
    assert isinstance(row, FeedRow)
    return row


def image_bytes(number: int) -> bytes:
    """Return the bytes of an image file; no source looks inside."""
    return b"\xff\xd8" + bytes([number]) * 100


def test_typed_columns_become_fields_and_keep_their_types_in_attributes(tmp_path: Path) -> None:
    path = parquet(
        tmp_path / "feed.parquet",
        {
            "id": [17],
            "productDisplayName": [" Linen shirt "],
            "year": [2012.0],
            "price": [39.9],
            "in_stock": [False],
            "season": [None],
            "rating": [4.5],
            "sizes": [["S", "M"]],
            "stars": [3],
            "organic": [True],
            "since": [datetime.date(2024, 5, 1)],
            "maker": [{"name": "Knit", "city": "Porto"}],
            "gap": [float("nan")],
        },
    )

    row = only(path)

    assert (row.line, row.sku) == (1, "17")
    assert row.fields == {
        "display_name": "Linen shirt",
        "year": 2012,
        "price": 39.9,
        "in_stock": False,
        "season": None,
        "attributes": {
            "rating": 4.5,
            "sizes": ["S", "M"],
            "stars": 3,
            "organic": True,
            "since": "2024-05-01",
            "maker": '{"name": "Knit", "city": "Porto"}',
            "gap": None,
        },
    }


def test_what_json_cannot_hold_costs_its_cell_or_becomes_text(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    path = parquet(
        tmp_path / "feed.parquet",
        {
            "id": ["a", "b"],
            "rating": [float("inf"), 4.5],
            "barcode": pa.array([2**63, 7], pa.uint64()),
            "options": pa.array([[("size", "S")], []], pa.map_(pa.string(), pa.string())),
        },
    )

    first, second = read(path)

    assert isinstance(first, FeedRow)
    assert isinstance(second, FeedRow)
    assert first.fields["attributes"] == {
        "rating": None,
        "barcode": str(2**63),
        "options": '{"size": "S"}',
    }
    assert (second.fields["attributes"]["rating"], second.fields["attributes"]["barcode"]) == (
        4.5,
        7,
    )
    said = {text: kind_of(text) for text in first.warnings if "rating" in text}
    assert said == {"rating: an infinity is no value; left out": WarningKind.VALUE}
    assert not any("rating" in text for text in second.warnings)


def test_all_files_of_a_folder_are_parts_of_one_table(tmp_path: Path) -> None:
    for number in (1, 0):
        parquet(tmp_path / f"part-0000{number}.snappy.parquet", {"id": [f"sku-{number}"]})
    (tmp_path / "_SUCCESS").touch()
    assert [row.sku for row in read(tmp_path)] == ["sku-0", "sku-1"]


def test_the_same_options_map_columns_and_find_images(tmp_path: Path) -> None:
    path = parquet(tmp_path / "feed.parquet", {"article_id": [108], "prod_name": ["Top"]})
    (tmp_path / "images" / "108").mkdir(parents=True)
    (tmp_path / "images" / "108" / "108.jpg").write_bytes(image_bytes(1))
    mapping = FeedMapping(
        columns={"sku": "article_id", "display_name": "prod_name"},
        image="images/{sku:.3}/{article_id}.jpg",
    )

    row = only(path, mapping)

    assert (row.sku, row.fields, row.warnings) == ("108", {"display_name": "Top"}, ())
    assert row.image
    assert row.image.read(100_000) == image_bytes(1)


@pytest.mark.parametrize("cell", [image_bytes(2), {"bytes": image_bytes(2), "path": "x.jpg"}])
def test_an_image_may_lie_in_its_cell(tmp_path: Path, cell: Any) -> None:
    row = only(parquet(tmp_path / "feed.parquet", {"id": ["a"], "image": [cell]}))

    assert row.warnings == ()
    assert row.image
    assert row.image.uri is None
    assert row.image.read(100_000) == image_bytes(2)


def test_an_empty_cell_is_no_image_and_a_path_is_one(tmp_path: Path) -> None:
    (tmp_path / "x.jpg").write_bytes(image_bytes(3))
    cells = [{"bytes": None, "path": "x.jpg"}, {"bytes": None, "path": None}, None]
    path = parquet(tmp_path / "feed.parquet", {"id": ["a", "b", "c"], "image": cells})

    there, empty, nothing = read(path)

    assert isinstance(there, FeedRow)
    assert there.image
    for row in (empty, nothing):
        assert isinstance(row, FeedRow)
        assert row.warnings == ("no image is named",)


def test_rows_of_many_groups_come_in_order_and_their_numbers_go_on(tmp_path: Path) -> None:
    path = parquet(tmp_path / "feed.parquet", {"id": list(range(2500))}, group=700)
    source = open_source(path)

    rows = list(source.read())

    assert [row.line for row in rows] == list(range(1, 2501))
    assert [row.sku for row in rows] == [str(number) for number in range(2500)]
    assert list(source.skus()) == [(row.line, row.sku) for row in rows]


def test_a_damaged_row_group_costs_its_own_rows(tmp_path: Path) -> None:
    names = [f"{number:05}" for number in range(300)]
    path = parquet(
        tmp_path / "feed.parquet",
        {"id": names, "title": names},
        group=100,
        compression="none",
        use_dictionary=False,
    )
    start = pq.ParquetFile(path).metadata.row_group(1).column(1).data_page_offset
    data = bytearray(path.read_bytes())
    data[start : start + 40] = b"\xff" * 40
    path.write_bytes(data)

    rows = read(path)

    rejects = [row for row in rows if isinstance(row, Reject)]
    assert [reject.line for reject in rejects] == list(range(101, 201))
    assert "row group 1 is damaged" in rejects[0].reason
    assert len(rows) == 300


def test_a_folder_and_a_zip_may_hold_one(tmp_path: Path) -> None:
    path = parquet(tmp_path / "shop" / "feed.parquet", {"id": ["a"], "image": ["a.jpg"]})
    (tmp_path / "shop" / "a.jpg").write_bytes(image_bytes(4))
    with zipfile.ZipFile(tmp_path / "shop.zip", "w") as archive:
        archive.write(path, "feed.parquet")
        archive.write(tmp_path / "shop" / "a.jpg", "a.jpg")

    for place in (tmp_path / "shop", tmp_path / "shop.zip"):
        with closing(open_source(place)) as source:
            (row,) = source.read()
            assert isinstance(row, FeedRow)
            assert row.image
            assert row.image.read(100_000) == image_bytes(4)


def test_a_file_that_is_none_is_named(tmp_path: Path) -> None:
    (tmp_path / "feed.parquet").write_bytes(b"id,name\n1,a\n")

    with pytest.raises(UnreadableCatalogue, match=r"feed\.parquet is not a readable Parquet file"):
        open_source(tmp_path / "feed.parquet")
    with pytest.raises(UnreadableCatalogue, match="no column is named sku or id"):
        open_source(parquet(tmp_path / "other.parquet", {"name": ["a"]}))


def test_without_the_package_the_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = parquet(tmp_path / "feed.parquet", {"id": ["a"]})
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)

    with pytest.raises(ConfigurationError, match=r"pip install 'lookalike\[parquet\]'"):
        open_source(path)


def test_a_path_cannot_leave_the_folder(tmp_path: Path) -> None:
    path = parquet(tmp_path / "shop" / "feed.parquet", {"id": ["a"], "image": ["../../a.jpg"]})

    row = only(path)

    assert row.image is None
    assert "leaves" in row.warnings[0]


def test_text_that_was_written_as_bytes_is_text(tmp_path: Path) -> None:
    columns = {"sku": [b"A"], "name": ["Hemd ä".encode()], "price": [b"9,90 EUR"], "note": [b"x"]}
    columns["image"] = [b"https://c/1.jpg"]
    row = only(parquet(tmp_path / "feed.parquet", columns))
    assert (row.sku, row.fields["display_name"], row.fields["price"]) == ("A", "Hemd ä", 9.9)
    assert row.fields["attributes"] == {"note": "x"}
    assert row.fields["image_uri"] == "https://c/1.jpg"


@pytest.mark.parametrize("key", ["bytes", None])
def test_a_cell_may_hold_several_images(tmp_path: Path, key: str | None) -> None:
    cells = [{key: image_bytes(n)} if key else image_bytes(n) for n in (1, 2)]
    row = only(parquet(tmp_path / "feed.parquet", {"sku": ["A"], "images": [cells]}))
    assert row.image
    assert row.further
    found = [row.image, *row.further]
    assert [it.read(1_000) for it in found if not isinstance(it, str)] == [
        image_bytes(1),
        image_bytes(2),
    ]
    assert not row.warnings


@pytest.mark.parametrize("key", ["url", "src", "path"])
def test_an_image_may_be_named_within_a_struct(tmp_path: Path, key: str) -> None:
    row = only(parquet(tmp_path / "f.parquet", {"sku": ["A"], "image": [{key: "https://c/1.jpg"}]}))
    assert row.fields["image_uri"] == "https://c/1.jpg"
