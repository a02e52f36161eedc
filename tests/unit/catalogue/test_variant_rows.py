"""Exports in which variants are rows below their product, and leave empty what all share."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from backend.catalogue.sources import open_source
from backend.catalogue.sources.feed import FeedRow, Reject

WIX = """handleId,fieldType,name,productImageUrl,sku,price,surcharge,visible,inventory,\
productOptionName1,productOptionDescription1
p1,Product,Tee,https://s.example/1.jpg,T,19.9,,true,InStock,Color,#ff0000:Red;#0000ff:Blue
p1,Variant,,,T-R,,2.0,true,5,Color,#ff0000:Red
p1,Variant,,,T-B,,0.0,true,0,Color,#0000ff:Blue
p2,Product,Cap,https://s.example/2.jpg,C,9,,true,3,,
"""
SQUARESPACE = """Product ID [Non Editable],Variant ID [Non Editable],Title,SKU,Option Name 1,\
Option Value 1,Price,Stock,Hosted Image URLs
p1,v0,Tee,T,,,19.9,Unlimited,https://s.example/1.jpg
,v1,,T-R,Color,Red,21.9,5,
,v2,,T-B,Color,Blue,19.9,0,
p2,v3,Cap,C,,,9,3,https://s.example/2.jpg
"""
BIGCOMMERCE = """Item Type,Product ID,Product Name,Product Code/SKU,Price,Current Stock Level,\
Product Image URL - 1
"Product",77,"Tee","T",19.90,5,https://s.example/1.jpg
"  SKU",101,"[S]Size=M,[CS]Color=Red:#ff0000","T-R",21.90,5,
"  SKU",102,"[CS]Color=Blue:#0000ff","T-B",,0,
"Product",78,"Cap","C",9.00,3,https://s.example/2.jpg
"""
ECWID = """type,product_internal_id,product_sku,product_name,product_price,product_quantity,\
product_media_main_image_url,product_option_name,product_option_1_value
product,1,T,Tee,19.9,5,https://s.example/1.jpg,,
product_option,1,,,,,,Color,Red
product_variation,1,T-R,,21.9,5,,,
product_variation,1,T-B,,,0,,,
product,2,C,Cap,9,3,https://s.example/2.jpg,,
"""
EBAY = """*Action(SiteID=US),CustomLabel,*Title,PicURL,*StartPrice,*Quantity,Relationship,\
RelationshipDetails
Add,T,Tee,https://s.example/1.jpg,19.90,5,,
,T-R,,,21.90,5,Variation,Size=M;Color=Red
,T-B,,,,0,Variation,Size=M;Color=Blue
Add,C,Cap,https://s.example/2.jpg,9,3,,
"""
SHOPWARE = """id;product_number;parent_id;name;stock;price_gross;cover_media_url
a;T;;Tee;5;"19,90";https://s.example/1.jpg
b;T-R;a;;5;"21,90";
c;T-B;a;;0;;
d;C;;Cap;3;9,00;https://s.example/2.jpg
"""
EXPORTS = {
    "wix": WIX,
    "squarespace": SQUARESPACE,
    "bigcommerce": BIGCOMMERCE,
    "ecwid": ECWID,
    "ebay": EBAY,
    "shopware": SHOPWARE,
}


def read(folder: Path, text: str) -> list[FeedRow | Reject]:
    path = folder / "export.csv"
    path.write_text(text.replace("\\\n", ""), encoding="utf-8")
    with closing(open_source(path)) as source:
        list(source.skus())
        return list(source.read())


def products(folder: Path, text: str) -> list[FeedRow]:
    return [row for row in read(folder, text) if isinstance(row, FeedRow)]


@pytest.mark.parametrize("name", EXPORTS)
def test_a_variant_takes_from_its_product_what_its_row_leaves_empty(
    tmp_path: Path, name: str
) -> None:
    rows = products(tmp_path, EXPORTS[name])
    assert [row.sku for row in rows] == ["T", "T-R", "T-B", "C"]
    assert [row.fields["display_name"] for row in rows] == ["Tee", "Tee", "Tee", "Cap"]
    assert [row.fields["price"] for row in rows] == [19.9, 21.9, 19.9, 9.0]
    assert [row.fields["in_stock"] for row in rows] == [True, True, False, True]
    images = [row.fields["image_uri"] for row in rows]
    assert images == ["https://s.example/1.jpg"] * 3 + ["https://s.example/2.jpg"]
    groups = [row.fields["group_id"] for row in rows]
    assert groups[1] == groups[2] is not None
    assert groups[3] != groups[1]
    if name not in ("shopware", "ecwid"):  # which do not say what the option is in the row
        assert [row.fields["base_colour"] for row in rows] == [None, "Red", "Blue", None]


def test_a_product_without_a_sku_gives_way_to_its_variants(tmp_path: Path) -> None:
    text = BIGCOMMERCE.replace('"Tee","T"', '"Tee",""')
    assert [row.sku for row in products(tmp_path, text)] == ["T-R", "T-B", "C"]


def test_rows_of_images_add_to_the_product_above(tmp_path: Path) -> None:
    text = """Item,ID,Name,Type,SKU,Options,Inventory Tracking,Current Stock,Price,\
Image URL (Import),Image is Thumbnail
Product,77,Tee,physical,,,variant,0,19.90,,
Variant,101,,,T-R,Type=Swatch|Name=Color|Value=Red[#f00],,3,,,
Image,5,,,,,,,,https://s.example/1.jpg,TRUE
Product,78,Cap,physical,C,,none,0,9.00,,
"""
    first, second = products(tmp_path, text)
    assert (first.sku, first.fields["group_id"], first.fields["base_colour"]) == (
        "T-R",
        "77",
        "Red",
    )
    assert first.fields["image_uri"] == "https://s.example/1.jpg"
    assert second.fields.get("in_stock") is None  # nothing counts it
    assert second.fields.get("article_type") is None  # `physical` is none


def test_a_broken_row_does_not_part_a_variant_from_its_product(tmp_path: Path) -> None:
    text = WIX.replace("p1,Variant,,,T-R", "p1,broken\np1,Variant,,,T-R")
    rows = read(tmp_path, text)
    assert [type(row) for row in rows].count(Reject) == 1
    assert [row.fields["display_name"] for row in rows if isinstance(row, FeedRow)][1] == "Tee"


@pytest.mark.parametrize(
    ("names", "cells", "expected"),
    [
        ("Stock Berlin,Stock Munich", "0,3", True),
        ("Stock Berlin,Stock Munich", "0,0", False),
        ("inventory_main", "0", False),
        ("Current Quantity Main St", "5", True),
        ("Stock Berlin,Stock Munich", ",", None),
        ("Stock Unit,Stock Code,Inventory Policy", "0,0,0", None),
        ("Quantity Discount,Low Stock,Qty per Pack", "0,0,0", None),
    ],
)
def test_stock_that_is_counted_by_place_is_added_up(
    tmp_path: Path, names: str, cells: str, expected: bool | None
) -> None:
    (row,) = products(tmp_path, f"sku,name,{names}\nA1,Tee,{cells}\n")
    assert row.fields.get("in_stock") is expected


FIXED = """PRICE LIST

ARTICLE NO   ITEM NAME                      PRICE  QTY  COLOR
A-1          Red Tee with a long name       19.90    3
A-2          Blue Cap                    2,299.00    0  blue
00123        Hat                           115.50   12
A-4          A name that is far too long for its column 9.90 1
A-5          Scarf                      12,115.50   12
A-6          A name that reaches too far right 9.90    3
(4 rows)
"""


def test_a_table_of_fixed_widths_is_read(tmp_path: Path) -> None:
    rows = read(tmp_path, FIXED)
    found = [
        (row.sku, row.fields["display_name"], row.fields["price"], row.fields["in_stock"])
        for row in rows
        if isinstance(row, FeedRow)
    ]
    assert found == [
        ("A-1", "Red Tee with a long name", 19.9, True),
        ("A-2", "Blue Cap", 2299.0, False),
        ("00123", "Hat", 115.5, True),
        ("A-5", "Scarf", 12115.5, True),
    ]
    crossed, other, remark = (row for row in rows if isinstance(row, Reject))
    assert "columns" in crossed.reason
    assert "columns" in other.reason
    assert "remark" in remark.reason


def test_a_table_with_a_line_of_dashes_is_read_by_it(tmp_path: Path) -> None:
    text = (
        "sku        name                 price\n"
        "---------- -------------------- ----------\n"
        "A1         Red Tee                   19.90\n"
        "A2         NULL                       9.00\n"
    )
    rows = products(tmp_path, text)
    assert [(row.sku, row.fields["display_name"], row.fields["price"]) for row in rows] == [
        ("A1", "Red Tee", 19.9),
        ("A2", None, 9.0),
    ]


def test_a_named_row_without_a_sku_is_a_reject(tmp_path: Path) -> None:
    _, reject = read(tmp_path, "product_id,sku,name\n1,A1,Tee\n1,,Tee L\n")
    assert isinstance(reject, Reject)
    assert "sku" in reject.reason


def test_variants_take_no_more_images_than_a_product_keeps(tmp_path: Path) -> None:
    images = "".join(f"tee,,,https://s.example/{number}.jpg\n" for number in range(40))
    text = f"handle,name,sku,image_url\ntee,Tee,T-1,\ntee,,T-2,\n{images}"
    first, second = products(tmp_path, text)
    assert any("40 images are named" in warning for warning in first.warnings)
    assert first.further == second.further
    assert not second.warnings
