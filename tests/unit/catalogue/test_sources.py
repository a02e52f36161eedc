"""Every defect that shops' files are known for costs at most the line that has it."""

from __future__ import annotations

import gc
import io
import json
import os
import time
import zipfile
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from backend.catalogue.sources import open_source
from backend.catalogue.sources.csv_header import read_header
from backend.catalogue.sources.csv_lines import LONGEST_LINE
from backend.catalogue.sources.csv_records import (
    LONGEST_VALUE,
    SpecialColumns,
    TableRecord,
    open_csv,
    read_records,
)
from backend.catalogue.sources.feed import FeedRow, Reject, kind_of
from backend.catalogue.sources.mapping import DEFAULT_MAPPING, FeedMapping, read_mapping
from backend.errors import (
    ConfigurationError,
    CorruptImage,
    ImageTooLarge,
    UnreadableCatalogue,
)

HEADER = (
    "id,gender,masterCategory,subCategory,articleType,baseColour,season,year,usage,"
    "productDisplayName\n"
)
TIE = "1,Men,Accessories,Ties,Ties,Blue,Summer,2012,Formal,Silk Tie\n"


def catalogue(folder: Path, text: str | bytes, images: Mapping[str, bytes] | None = None) -> Path:
    """Write a styles.csv and images/ into a folder."""
    (folder / "images").mkdir(parents=True, exist_ok=True)
    data = text.encode() if isinstance(text, str) else text
    (folder / "styles.csv").write_bytes(data)
    for name, content in (images or {}).items():
        (folder / "images" / name).write_bytes(content)
    return folder


def zipped(path: Path, members: Mapping[str, str | bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def read(path: Path, mapping: FeedMapping = DEFAULT_MAPPING) -> list[FeedRow | Reject]:
    with closing(open_source(path, mapping)) as source:
        return list(source.read())


def rows(path: Path, mapping: FeedMapping = DEFAULT_MAPPING) -> list[FeedRow]:
    found = read(path, mapping)
    assert not [row for row in found if isinstance(row, Reject)]
    return [row for row in found if isinstance(row, FeedRow)]


def only(path: Path, mapping: FeedMapping = DEFAULT_MAPPING) -> FeedRow:
    (row,) = rows(path, mapping)
    return row


def rejected(path: Path, mapping: FeedMapping = DEFAULT_MAPPING) -> Reject:
    (reject,) = (row for row in read(path, mapping) if isinstance(row, Reject))
    return reject


# --- styles.csv ------------------------------------------------------------------------------


def test_a_row_of_styles_csv_becomes_a_product(tmp_path: Path) -> None:
    row = only(catalogue(tmp_path, HEADER + TIE, {"1.jpg": b"content"}))
    assert (row.line, row.sku, row.warnings) == (2, "1", ())
    assert row.fields == {
        "gender": "Men",
        "master_category": "Accessories",
        "sub_category": "Ties",
        "article_type": "Ties",
        "base_colour": "Blue",
        "season": "Summer",
        "year": 2012,
        "usage": "Formal",
        "display_name": "Silk Tie",
    }
    assert row.image is not None
    assert row.image.read(100) == b"content"
    assert row.image.uri == (tmp_path / "images" / "1.jpg").resolve().as_uri()
    assert row.image.size == 7
    assert row.image.mtime_ns == (tmp_path / "images" / "1.jpg").stat().st_mtime_ns


def test_an_unquoted_comma_in_the_name_is_joined_again(tmp_path: Path) -> None:
    row = only(catalogue(tmp_path, HEADER + TIE.replace("Silk Tie", "Tie, silk,blue")))
    assert row.fields["display_name"] == "Tie, silk,blue"
    assert "without quotes" in row.warnings[0]


def test_a_row_without_its_image_file_is_kept_with_a_warning(tmp_path: Path) -> None:
    row = only(catalogue(tmp_path, HEADER + TIE))
    assert row.image is None
    assert row.warnings == ("there is no image images/1.jpg",)


def test_empty_values_are_empty_and_na_is_a_value(tmp_path: Path) -> None:
    row = only(catalogue(tmp_path, HEADER + "007,NA,,,,NA,,,NA,\n"))
    assert row.sku == "007"
    assert row.fields["gender"] == row.fields["base_colour"] == row.fields["usage"] == "NA"
    assert row.fields["year"] is None
    assert row.fields["display_name"] is None


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(("\ufeff" + HEADER + TIE).encode(), id="byte order mark"),
        pytest.param((HEADER + TIE).replace("\n", "\r\n").encode(), id="CRLF"),
        pytest.param((HEADER + "\n  \n" + TIE + ",,,,,,,,,\n").encode(), id="blank lines"),
        pytest.param((HEADER + TIE).rstrip().encode(), id="no newline at the end"),
        pytest.param((HEADER + TIE.rstrip() + ",,\n").encode(), id="trailing commas"),
        pytest.param((HEADER + TIE).replace(",", ";").encode(), id="semicolons"),
        pytest.param((HEADER + TIE).replace(",", "\t").encode(), id="tabs"),
        pytest.param((HEADER.upper() + TIE).encode(), id="another case"),
        pytest.param((HEADER.replace(",", " , ") + TIE).encode(), id="spaces in the header"),
    ],
)
def test_a_file_that_is_only_spelled_otherwise_reads_the_same(tmp_path: Path, text: bytes) -> None:
    (plain,) = rows(catalogue(tmp_path / "plain", HEADER + TIE, {"1.jpg": b""}))
    (other,) = rows(catalogue(tmp_path / "other", text, {"1.jpg": b""}))
    assert (other.sku, other.fields, other.warnings) == (plain.sku, plain.fields, ())


def test_latin_1_bytes_are_read_line_by_line_with_a_warning(tmp_path: Path) -> None:
    named = [TIE.replace("Silk", "Soie d'été"), TIE.replace("Silk", "Crème")]
    text = HEADER.encode() + named[0].encode() + named[1].encode("latin-1")
    utf_8, latin_1 = rows(catalogue(tmp_path, text, {"1.jpg": b""}))
    assert (utf_8.fields["display_name"], utf_8.warnings) == ("Soie d'été Tie", ())
    assert latin_1.fields["display_name"] == "Crème Tie"
    assert "not UTF-8" in latin_1.warnings[0]


def test_nul_bytes_are_left_out_with_a_warning(tmp_path: Path) -> None:
    row = only(catalogue(tmp_path, HEADER + TIE.replace("Silk", "Si\0lk"), {"1.jpg": b""}))
    assert row.fields["display_name"] == "Silk Tie"
    assert row.warnings == ("NUL characters were left out",)


def test_a_missing_column_is_just_absent(tmp_path: Path) -> None:
    row = only(catalogue(tmp_path, "id,productDisplayName\n1,Tie\n"))
    assert row.fields == {"display_name": "Tie"}


def test_an_unknown_column_goes_to_the_attributes(tmp_path: Path) -> None:
    row = only(catalogue(tmp_path, "id,brand,sleeve length,\n1,Ace,,x\n"))
    assert row.fields["attributes"] == {"brand": "Ace", "sleeve length": None}


def test_a_table_without_a_sku_names_its_columns_and_the_way_out(tmp_path: Path) -> None:
    with pytest.raises(UnreadableCatalogue, match=r"article, title.*--map sku=COLUMN"):
        read(catalogue(tmp_path, "article,title\n1,Tie\n"))


def test_a_year_that_is_none_is_left_out_and_the_row_kept(tmp_path: Path) -> None:
    row = only(catalogue(tmp_path, HEADER + TIE.replace("2012", "last year"), {"1.jpg": b""}))
    assert "year" not in row.fields
    assert row.warnings == ("year: 'last year' is not a year",)


def test_a_year_may_be_exported_as_a_decimal(tmp_path: Path) -> None:
    assert only(catalogue(tmp_path, HEADER + TIE.replace("2012", "2012.0"))).fields["year"] == 2012


def test_a_line_that_is_cut_off_is_rejected_with_its_number(tmp_path: Path) -> None:
    reject = rejected(catalogue(tmp_path, HEADER + TIE + "2,Men,Acc"))
    assert (reject.line, reject.sku) == (3, "2")
    assert "3 values, where the header has 10 columns: the line is cut off" in reject.reason


def test_an_empty_sku_is_rejected(tmp_path: Path) -> None:
    reject = rejected(catalogue(tmp_path, HEADER + TIE[1:]))
    assert (reject.line, reject.reason) == (2, "the sku is empty")


# --- quotes and lines ------------------------------------------------------------------------


def records(text: str | bytes, free_text: int | None = 1) -> list[Any]:
    lines = open_csv(io.BytesIO(text.encode() if isinstance(text, str) else text))
    header = read_header(lines)
    return [
        (it.line, *it.values) if isinstance(it, TableRecord) else it
        for it in read_records(lines, header, SpecialColumns(free_text=free_text))
    ]


def test_quoted_values_may_hold_commas_and_newlines_and_line_numbers_stay_right() -> None:
    text = 'id,name,n\n1,"a, ""b""",x\n2,"two\r\nlines",y\n\n3,c,z\n'
    assert records(text) == [
        (2, "1", 'a, "b"', "x"),
        (3, "2", "two\r\nlines", "y"),
        (6, "3", "c", "z"),
    ]


def test_a_quote_that_is_never_closed_costs_only_its_own_line() -> None:
    text = 'id,name,n\n1,"Puma shoe,x\n2,b,y\n3,c,z\n'
    assert records(text) == [(2, "1", '"Puma shoe', "x"), (3, "2", "b", "y"), (4, "3", "c", "z")]


@pytest.mark.parametrize("last", ['"z', '"'])
def test_two_stray_quotes_do_not_swallow_the_lines_between(last: str) -> None:
    text = f'id,name,n\n1,"Puma,x\n2,b,y\n3,c,{last}\n4,d,w\n'
    assert [record[0] for record in records(text)] == [2, 3, 4, 5]


def test_an_inch_mark_within_a_name_is_no_quote() -> None:
    assert records('id,name,n\n1,Screen 15" wide,x\n') == [(2, "1", 'Screen 15" wide', "x")]


def test_quotes_within_quotes_are_taken_literally_and_those_around_are_not() -> None:
    (record,) = records('id,name,n\n1,"Screen 15" wide",x\n')
    assert record == (2, "1", 'Screen 15" wide', "x")


def test_a_stray_quote_in_a_long_file_is_found_in_linear_time() -> None:
    def seconds_of_cpu(count: int) -> float:
        lines = [f'{n},"odd,x' if n % 5000 == 0 else f"{n},plain,x" for n in range(1, count + 1)]
        gc.collect()
        gc.freeze()  # what other tests left in memory is not looked through meanwhile
        start = time.process_time()
        found = records("id,name,n\n" + "\n".join(lines))
        assert [record[0] for record in found] == list(range(2, count + 2))
        gc.unfreeze()
        return time.process_time() - start

    assert seconds_of_cpu(60_000) < 40 * seconds_of_cpu(6_000)  # 100 if each looked at all others


def test_a_carriage_return_alone_is_a_space() -> None:
    assert records("id,name,n\n1,a\rb,x\n")[0][:3] == (2, "1", "a b")


def test_surplus_values_are_rejected_where_no_column_may_hold_commas() -> None:
    (reject,) = records("id,name,n\n1,a,b,c\n", free_text=None)
    assert "4 values, where the header has 3 columns" in reject.reason


def test_a_surplus_is_joined_in_the_column_of_the_name_wherever_it_is() -> None:
    assert records("id,name,n\n1,a, b,c\n") == [(2, "1", "a, b", "c")]


def test_a_value_of_200_kb_is_read() -> None:
    long, after = records("id,name,n\n1," + "x" * 200_000 + ",y\n2,b,z\n")
    assert (long[0], len(long[2]), long[3]) == (2, 200_000, "y")
    assert after == (3, "2", "b", "z")


@pytest.mark.parametrize("size", [LONGEST_VALUE + 1, LONGEST_LINE * 3])
def test_a_huge_value_is_rejected_and_the_next_line_read(size: int) -> None:
    huge, after = records("id,name,n\n1," + "x" * size + ",y\n2,b,z\n")
    assert huge.line == 2
    assert "larger than field limit" in huge.reason
    assert after == (3, "2", "b", "z")


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty"),
        (b"\n \n", "empty"),
        (b"\n" * 100, "no header"),
        (b'"id,name\n', "not one of a CSV file"),
    ],
)
def test_a_file_that_is_no_table_is_refused_with_the_reason(data: bytes, reason: str) -> None:
    with pytest.raises(UnreadableCatalogue, match=reason):
        records(data)


# --- styles/{id}.json ------------------------------------------------------------------------

DETAILS = {
    "data": {
        "id": 1,
        "price": 499,
        "discountedPrice": 399,
        "brandName": "Ace",
        "ageGroup": "Adults-Men",
        "gender": "Unisex",
        "productDisplayName": "Ace Silk Tie",
        "colour1": "NA",
        "colour2": "",
        "articleType": {"typeName": "Ties"},
        "articleAttributes": {"Fit": "Slim", "Pattern": "  ", "Width": 7.5},
    }
}


def with_details(folder: Path, text: str, details: object) -> Path:
    catalogue(folder, text, {"1.jpg": b""})
    (folder / "styles").mkdir()
    raw = details if isinstance(details, str) else json.dumps(details)
    (folder / "styles" / "1.json").write_text(raw)
    return folder


def test_price_and_attributes_come_from_the_json_beside_it(tmp_path: Path) -> None:
    row = only(with_details(tmp_path, HEADER + TIE, DETAILS))
    assert (row.fields["price"], row.fields["brand"]) == (499, "Ace")
    assert row.fields["attributes"] == {
        "brand": "Ace",
        "age_group": "Adults-Men",
        "discounted_price": 399,
        "second_colour": "NA",
        "Fit": "Slim",
        "Width": 7.5,
    }


def test_the_json_fills_what_the_row_leaves_empty_and_overrides_nothing(tmp_path: Path) -> None:
    text = "id,gender,productDisplayName,brand,Fit\n1,Men,,Bolt,\n"
    row = only(with_details(tmp_path, text, DETAILS))
    assert row.fields["gender"] == "Men"
    assert row.fields["display_name"] == "Ace Silk Tie"
    assert row.fields["brand"] == row.fields["attributes"]["brand"] == "Bolt"
    assert row.fields["attributes"]["Fit"] == "Slim"


@pytest.mark.parametrize(
    "details",
    ["{", "[]", '"text"', '{"data": 7}', "{}", '{"data": {"articleAttributes": 7}}', "[" * 9999],
)
def test_a_malformed_json_is_a_warning_and_the_row_is_kept(tmp_path: Path, details: str) -> None:
    row = only(with_details(tmp_path, HEADER + TIE, details))
    assert row.fields["display_name"] == "Silk Tie"
    assert row.warnings == ("styles/1.json is not the JSON that it should be",)


def test_the_json_is_read_from_a_zip_too(tmp_path: Path) -> None:
    members = {"styles.csv": HEADER + TIE, "styles/1.json": json.dumps(DETAILS)}
    assert only(zipped(tmp_path / "c.zip", members)).fields["price"] == 499


# --- other shops' tables ---------------------------------------------------------------------


def test_columns_and_images_of_another_shop_map_by_a_mapping(tmp_path: Path) -> None:
    (tmp_path / "images" / "010").mkdir(parents=True)
    (tmp_path / "images" / "010" / "0108775015.jpg").write_bytes(b"content")
    table = tmp_path / "articles.csv"
    table.write_text("article_id,prod_name,perceived\n0108775015,Strap top,Dark\n")
    mapping = FeedMapping(
        columns={"sku": "article_id", "display_name": "prod_name"},
        image="images/{sku:.3}/{article_id}.jpg",
    )
    row = only(table, mapping)
    assert row.sku == "0108775015"
    assert row.fields == {"display_name": "Strap top", "attributes": {"perceived": "Dark"}}
    assert row.image is not None
    assert row.image.read(10) == b"content"


def test_a_given_column_wins_over_one_that_has_our_name(tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    table.write_text("id,code,in_stock,price\n7,A1,no,12.50\n")
    row = only(table, FeedMapping(columns={"sku": "code"}))
    assert row.sku == "A1"
    assert row.fields == {"in_stock": False, "price": 12.5, "attributes": {"id": "7"}}


def test_the_names_that_shops_mostly_use_are_known(tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    table.write_text("SKU,Name,Color,In Stock,title\n1,Tie,Red,yes,Fine Tie\n")
    assert only(table).fields == {
        "display_name": "Tie",
        "base_colour": "Red",
        "in_stock": True,
        "attributes": {"title": "Fine Tie"},
    }


@pytest.mark.parametrize("name", ["image", "image_uri", "imageUrl", "IMAGE_PATH", "filename"])
def test_an_image_column_holds_paths_beside_the_csv_or_uris(tmp_path: Path, name: str) -> None:
    (tmp_path / "p.png").write_bytes(b"content")
    table = tmp_path / "t.csv"
    table.write_text(f"sku,{name}\n1,p.png\n2,https://cdn.example/2.jpg\n3,\n4,gone.png\n")
    local, remote, without, gone = rows(table)
    assert local.image is not None
    assert (remote.image, remote.fields["image_uri"]) == (None, "https://cdn.example/2.jpg")
    assert (without.image, without.warnings) == (None, ("no image is named",))
    assert gone.warnings == ("there is no image gone.png",)


def test_an_image_column_of_styles_csv_wins_over_the_images_folder(tmp_path: Path) -> None:
    catalogue(tmp_path, "id,image\n1,images/b.jpg\n", {"1.jpg": b"a", "b.jpg": b"b"})
    image = only(tmp_path).image
    assert image is not None
    assert image.read(1) == b"b"


def test_a_stock_column_that_is_empty_says_nothing(tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    table.write_text("sku,in_stock\n1,\n2,maybe\n3,Yes\n4,0\n")
    assert [row.fields.get("in_stock") for row in rows(table)] == [None, None, True, False]
    assert ["in_stock" in row.fields for row in rows(table)] == [False, False, True, True]


def test_a_column_of_attributes_holds_json(tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    table.write_text('sku,attributes,brand\n1,"{""sizes"": [""S""]}",Ace\n2,[],\n')
    good, bad = rows(table)
    assert good.fields["attributes"] == {"sizes": ["S"], "brand": "Ace"}
    assert "not a JSON object" in bad.warnings[0]


def test_a_folder_with_one_csv_of_another_name_is_read(tmp_path: Path) -> None:
    (tmp_path / "shop.csv").write_text("sku,name\n1,a\n")
    assert only(tmp_path).sku == "1"


def test_a_folder_with_several_tables_or_none_is_refused_by_naming_them(tmp_path: Path) -> None:
    with pytest.raises(UnreadableCatalogue, match="there is none of these"):
        read(tmp_path)
    for name in ("a.csv", "b.csv"):
        (tmp_path / name).write_text("sku\n1\n")
    with pytest.raises(UnreadableCatalogue, match=r"a\.csv, b\.csv"):
        read(tmp_path)


def test_a_path_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnreadableCatalogue, match="there is no"):
        read(tmp_path / "nothing")


@pytest.mark.parametrize(
    "mapping",
    [
        FeedMapping(columns={"colour": "id"}),
        FeedMapping(image="{sku.__class__}.jpg"),
        FeedMapping(image="{sku[0]}.jpg"),
        FeedMapping(image="{photo}.jpg"),
        FeedMapping(image="{}.jpg"),
        FeedMapping(image="{sku!r}.jpg"),
        FeedMapping(image="{sku:{id}}.jpg"),
        FeedMapping(image="{sku.jpg"),
    ],
)
def test_a_mapping_that_cannot_be_is_refused_before_a_row_is_read(
    tmp_path: Path, mapping: FeedMapping
) -> None:
    with pytest.raises(ConfigurationError):
        open_source(catalogue(tmp_path, HEADER + TIE), mapping)


def test_a_mapping_that_names_a_column_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnreadableCatalogue, match="no column 'code'; there are: id, gender"):
        open_source(catalogue(tmp_path, HEADER + TIE), FeedMapping(columns={"sku": "code"}))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("m.toml", 'image = "i/{sku}.jpg"\n[map]\nsku = "code"\n'),
        ("m.json", '{"image": "i/{sku}.jpg", "map": {"sku": "code"}}'),
    ],
)
def test_a_mapping_can_be_a_small_file(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    assert read_mapping(tmp_path / name) == FeedMapping(
        columns={"sku": "code"}, image="i/{sku}.jpg"
    )


@pytest.mark.parametrize(
    "text",
    ["{", "[]", '{"mapping": {}}', '{"map": []}', '{"map": {"sku": 1}}', '{"image": 1}'],
)
def test_a_mapping_file_that_is_not_one_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "m.json").write_text(text)
    with pytest.raises(ConfigurationError, match=r"m\.json"):
        read_mapping(tmp_path / "m.json")


# --- zips ------------------------------------------------------------------------------------


@pytest.mark.parametrize("prefix", ["", "fashion-dataset/", "a/b/"])
def test_a_zip_may_hold_its_catalogue_in_a_folder(tmp_path: Path, prefix: str) -> None:
    members = {
        "__MACOSX/._styles.csv": "junk",
        f"{prefix}styles.csv": HEADER + TIE,
        f"{prefix}images/1.jpg": b"content",
        f"{prefix}deeper/styles.csv": "junk",
    }
    row = only(zipped(tmp_path / "c.zip", members))
    assert row.image is not None
    assert (row.image.uri, row.image.size) == (None, 7)


def test_a_members_checksum_stands_for_its_time(tmp_path: Path) -> None:
    def stamp(content: bytes, when: tuple[int, ...]) -> int:
        with zipfile.ZipFile(tmp_path / "c.zip", "w") as archive:
            archive.writestr("styles.csv", HEADER + TIE)
            archive.writestr(zipfile.ZipInfo("images/1.jpg", (*when, 0, 0, 0)), content)
        image = only(tmp_path / "c.zip").image
        assert image is not None
        return image.mtime_ns

    first = stamp(b"aaa", (2020, 1, 1))
    assert stamp(b"aaa", (2024, 1, 1)) == first
    assert stamp(b"aab", (2020, 1, 1)) != first


def test_a_member_larger_than_allowed_is_not_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "c.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("styles.csv", HEADER + TIE)
        archive.writestr("images/1.jpg", bytes(50_000_000))
    with closing(open_source(path)) as source:
        (row,) = source.read()
        assert isinstance(row, FeedRow)
        assert row.image is not None
        with pytest.raises(ImageTooLarge, match="50,000,000"):
            row.image.read(1_000_000)


def test_a_damaged_member_is_a_corrupt_image(tmp_path: Path) -> None:
    path = zipped(tmp_path / "c.zip", {"styles.csv": HEADER + TIE, "images/1.jpg": b"content"})
    path.write_bytes(path.read_bytes().replace(b"content", b"conxent"))
    with closing(open_source(path)) as source:
        (row,) = source.read()
        assert isinstance(row, FeedRow)
        assert row.image is not None
        with pytest.raises(CorruptImage, match="CRC"):
            row.image.read(1_000)


def test_a_damaged_table_in_a_zip_makes_it_unreadable(tmp_path: Path) -> None:
    path = zipped(tmp_path / "c.zip", {"styles.csv": HEADER + TIE * 3})
    path.write_bytes(path.read_bytes().replace(b"Silk Tie", b"Cilk Tie"))
    with pytest.raises(UnreadableCatalogue, match="damaged"):
        read(path)


def test_a_file_that_only_begins_like_a_zip_is_refused(tmp_path: Path) -> None:
    path = zipped(tmp_path / "c.zip", {"styles.csv": HEADER + TIE})
    path.write_bytes(path.read_bytes().replace(b"PK\x01\x02", b"PK\x09\x09"))
    with pytest.raises(UnreadableCatalogue, match="not a readable zip"):
        read(path)


# --- nobody leaves the catalogue's folder ----------------------------------------------------


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    path = tmp_path / "secret.jpg"
    path.write_bytes(b"secret")
    return path


def outside_by_column(folder: Path, value: str) -> Path:
    folder.mkdir()
    table = folder / "t.csv"
    table.write_text(f"sku,image\n1,{value}\n")
    return table


@pytest.mark.parametrize(
    "value",
    [
        "../secret.jpg",
        "images/../../secret.jpg",
        "{secret}",
        "file://{secret}",
        "ftp://host/1.jpg",
        "..",
        "images/..",
        "images/",
        "store://" + "a" * 64,
    ],
)
def test_an_image_column_cannot_name_a_file_outside(
    tmp_path: Path, secret: Path, value: str
) -> None:
    row = only(outside_by_column(tmp_path / "shop", value.format(secret=secret)))
    assert (row.line, row.sku, row.image, row.fields) == (2, "1", None, {})
    assert [kind_of(warning) for warning in row.warnings] == ["image"]


def test_a_sku_cannot_climb_out_of_the_images_folder(tmp_path: Path, secret: Path) -> None:
    path = catalogue(tmp_path / "shop", HEADER + TIE.replace("1,", "../../secret,", 1))
    row = only(path)
    assert row.image is None
    assert "leaves the catalogue's folder" in row.warnings[0]


def test_a_symlink_cannot_lead_out_but_within(tmp_path: Path, secret: Path) -> None:
    path = catalogue(tmp_path / "shop", "id\nout\nin\ndangling\n", {"real.jpg": b"real"})
    (path / "images" / "out.jpg").symlink_to(secret)
    (path / "images" / "in.jpg").symlink_to("real.jpg")
    (path / "images" / "dangling.jpg").symlink_to("nowhere.jpg")
    out, within, dangling = rows(path)
    assert out.image is None
    assert "leaves the catalogue's folder" in out.warnings[0]
    assert within.image is not None
    assert within.image.read(10) == b"real"
    assert dangling.image is None


def test_the_images_folder_itself_may_be_a_symlink_of_the_operator(tmp_path: Path) -> None:
    elsewhere = catalogue(tmp_path / "elsewhere", "", {"1.jpg": b"content"})
    shop = tmp_path / "shop"
    shop.mkdir()
    (shop / "styles.csv").write_text(HEADER + TIE)
    (shop / "images").symlink_to(elsewhere / "images")
    image = only(shop).image
    assert image is not None
    assert image.read(10) == b"content"


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo], ids=["folder", "pipe"])
def test_what_is_no_regular_file_is_no_image(tmp_path: Path, make: Callable[[Path], None]) -> None:
    path = catalogue(tmp_path, HEADER + TIE)
    make(path / "images" / "1.jpg")
    assert only(path).image is None


@pytest.mark.parametrize("sku", ["../secret", "/secret", "../../etc/passwd"])
def test_a_sku_cannot_name_another_member_of_a_zip(tmp_path: Path, sku: str) -> None:
    members = {
        "styles.csv": HEADER + TIE.replace("1,", f"{sku},", 1),
        "secret.jpg": b"secret",
        "../secret.jpg": b"secret",
    }
    row = only(zipped(tmp_path / "c.zip", members))
    assert row.image is None
    assert row.warnings


def test_a_symlink_in_a_zip_is_refused(tmp_path: Path) -> None:
    link = zipfile.ZipInfo("images/1.jpg")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "c.zip", "w") as archive:
        archive.writestr("styles.csv", HEADER + TIE)
        archive.writestr(link, "/etc/passwd")
    row = only(tmp_path / "c.zip")
    assert row.image is None
    assert "symlink" in row.warnings[0]


def test_an_image_of_a_folder_is_read_within_its_limit(tmp_path: Path) -> None:
    image = only(catalogue(tmp_path, HEADER + TIE, {"1.jpg": bytes(1001)})).image
    assert image is not None
    with pytest.raises(ImageTooLarge):
        image.read(1000)
    assert len(image.read(1001)) == 1001
