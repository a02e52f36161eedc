"""The exports of platforms are recognised by their headers and read without options."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from backend.catalogue.drafts import FIELDS
from backend.catalogue.sources import open_source, woocommerce
from backend.catalogue.sources.feed import FeedRow
from backend.catalogue.sources.mapping import DEFAULT_MAPPING, FeedMapping
from backend.catalogue.sources.presets import NAMES
from backend.cli.mapping_options import FIELD_NAMES
from backend.errors import ConfigurationError

SHOPIFY = """Handle,Title,Body (HTML),Vendor,Type,Option1 Name,Option1 Value,Variant SKU,\
Variant Price,Image Src,Image Position,Variant Image,Status
scarf,Wool scarf,"<p>Warm,
soft</p>",Ace,Scarves,Colour,Red,SC-R,19.90,i/1.jpg,1,i/red.jpg,active
scarf,,,,,,Blue,SC-B,21.00,i/2.jpg,2,,
scarf,,,,,,,,,i/3.jpg,3,,
belt,Belt,,Ace,Belts,Title,Default Title,,9.90,https://c/b.jpg,1,,active
"""
WOO = """\ufeffID,Type,SKU,Name,"In stock?",Stock,"Regular price",Categories,Images,Parent
21,variable,,Coat,1,,,"Clothing, Clothing > Outer > Coats","https://c/1.jpg, https://c/2.jpg",
22,variation,COAT-M,Coat M,1,3,80,,https://c/1.jpg,id:21
23,simple,HAT,Hat,1,,9,,https://c/3.jpg,
"""
MAGENTO = """sku,attribute_set_code,product_type,categories,name,price,base_image,\
additional_images,is_in_stock,manufacturer,parent_sku
B1,Bag,simple,"Default Category/Gear,Default Category/Gear/Bags",Bag,34.0,/b/1/b1.jpg,\
"/b/1/b1.jpg,/b/1/b2.jpg",1,Ace,B
B2,Bag,simple,,Bag two,34.0,no_selection,,1,,
"""
GOOGLE = """id\ttitle\tdescription\tlink\timage link\tadditional image link\tavailability\tprice\t\
product_type\tcolor\tbrand\titem_group_id
G1\tShirt 15" wide\tx\thttps://s/1\thttps://c/1.jpg\thttps://c/2.jpg\tin_stock\t10\t\
Clothing > Tops > Shirts\tRed\tAce\tg1
"""
META = """# Required | a unique id,# Required | title,# Optional
id,title,availability,price,link,image_link,fb_product_category
M1,Shirt,in stock,10,https://s/1,https://c/1.jpg,clothing > tops
"""
KAGGLE = """id,gender,masterCategory,subCategory,articleType,baseColour,season,year,usage,\
productDisplayName
7,Men,Apparel,Topwear,Shirts,Red,Fall,2011,Casual,Red shirt
"""


def export(folder: Path, text: str, name: str = "export.csv") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def read(path: Path, mapping: FeedMapping = DEFAULT_MAPPING) -> dict[str, FeedRow]:
    with closing(open_source(path, mapping)) as source:
        found = list(source.read())
    assert all(isinstance(row, FeedRow) for row in found)
    return {row.sku: row for row in found if isinstance(row, FeedRow)}


@pytest.mark.parametrize(
    ("text", "title"),
    [
        (SHOPIFY, "Shopify"),
        (WOO, "WooCommerce"),
        (MAGENTO, "Magento"),
        (GOOGLE, "Google Merchant"),
        (META, "Meta"),
        (KAGGLE, "Kaggle"),
        ("sku,name\nA,Hat\n", "plain table"),
        ("handle,title\nA,Hat\n".replace("handle", "sku"), "plain table"),
    ],
)
def test_the_platform_is_recognised_by_the_header(tmp_path: Path, text: str, title: str) -> None:
    with closing(open_source(export(tmp_path, text))) as source:
        assert title in source.describe().title


def test_each_variant_of_shopify_is_a_product_with_the_texts_of_the_first(tmp_path: Path) -> None:
    (tmp_path / "i").mkdir()
    for name in ("1", "2", "3", "red"):
        (tmp_path / "i" / f"{name}.jpg").write_bytes(name.encode())
    found = read(export(tmp_path, SHOPIFY))
    assert list(found) == ["SC-R", "SC-B", "belt"]
    for sku in ("SC-R", "SC-B"):
        fields = found[sku].fields
        assert (fields["display_name"], fields["article_type"]) == ("Wool scarf", "Scarves")
    assert (found["SC-R"].fields["price"], found["SC-B"].fields["price"]) == (19.9, 21)
    assert found["SC-B"].fields["attributes"]["Option1 Value"] == "Blue"
    red, blue = found["SC-R"].image, found["SC-B"].image
    assert red is not None
    assert blue is not None
    assert (red.read(9), blue.read(9)) == (b"red", b"2")
    assert found["SC-B"].more_images == ("i/1.jpg", "i/3.jpg")
    assert found["belt"].fields["image_uri"] == "https://c/b.jpg"


def test_a_broken_row_of_shopify_does_not_part_its_handle(tmp_path: Path) -> None:
    text = "Handle,Title,Variant SKU\nscarf,Wool scarf,A\nscarf,x,y,z\nscarf,,B\n,,C\n,,D\n"
    with closing(open_source(export(tmp_path, text))) as source:
        found = {row.sku: row for row in source.read() if isinstance(row, FeedRow)}
    names = [found[sku].fields["display_name"] for sku in "ABCD"]
    assert names == ["Wool scarf", "Wool scarf", None, None]


def test_the_lines_of_shopify_are_those_of_the_file(tmp_path: Path) -> None:
    path = export(tmp_path, SHOPIFY)
    with closing(open_source(path)) as source:
        assert list(source.skus()) == [(2, "SC-R"), (4, "SC-B"), (6, "belt")]


def test_a_product_of_woocommerce_without_a_sku_is_named_by_its_id(tmp_path: Path) -> None:
    found = read(export(tmp_path, WOO))
    assert list(found) == ["id:21", "COAT-M", "HAT"]
    coat = found["id:21"]
    names = ("master_category", "sub_category", "article_type", "image_uri")
    assert [coat.fields[name] for name in names] == [
        "Clothing",
        "Outer",
        "Coats",
        "https://c/1.jpg",
    ]
    assert coat.more_images == ("https://c/2.jpg",)


def test_a_variation_of_woocommerce_takes_from_its_parent_what_it_leaves_empty(
    tmp_path: Path,
) -> None:
    head = "ID,Type,SKU,Name,In stock?,Categories,Images,Parent\n"
    rows = (
        "1,variable,TEE,Tee,1,Clothing > Tops,https://c/t.jpg,\n"
        "2,variation,TEE-S,Tee S,0,,,TEE\n"
        "3,variation,TEE-M,Tee M,1,Sale,https://c/m.jpg,id:1\n"
        "4,variation,LOST,Lost,1,,,id:9\n"
    )
    found = read(export(tmp_path, head + rows))

    fields = {sku: row.fields for sku, row in found.items()}
    assert [fields[sku]["article_type"] for sku in found] == ["Tops", "Tops", "Sale", None]
    assert fields["TEE-S"]["image_uri"] == "https://c/t.jpg"
    assert fields["TEE-M"]["image_uri"] == "https://c/m.jpg"
    assert (fields["TEE-S"]["in_stock"], fields["TEE-S"]["display_name"]) == (False, "Tee S")


def test_parents_of_woocommerce_are_remembered_up_to_a_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(woocommerce, "MOST_PARENTS", 1)
    head = "ID,Type,SKU,Name,In stock?,Categories,Parent\n"
    rows = (
        "1,variable,A,A,1,Old,\n2,variable,B,B,1,New,\n"
        "3,variation,A-S,A,1,,A\n4,variation,B-S,B,1,,B\n"
    )
    found = read(export(tmp_path, head + rows))
    assert found["A-S"].fields["article_type"] is None
    assert found["B-S"].fields["article_type"] == "New"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            (
                "Handle,Title,Variant SKU,Option1 Name,Option1 Value,Option2 Name,Option2 Value,"
                "Google Shopping / Gender\na,A,A,Size,S,Colour,Red,women\n"
            ),
            ("Red", "women"),
        ),
        (
            (
                "Handle,Title,Variant SKU,Color (product.metafields.shopify.color-pattern)\n"
                "a,A,A,green\n"
            ),
            ("green", None),
        ),
        (
            "ID,SKU,Name,In stock?,Attribute 1 name,Attribute 1 value(s)\n1,A,A,1,Farbe,Rot\n",
            ("Rot", None),
        ),
        (
            (
                "ID,SKU,Name,In stock?,Attribute 1 name,Attribute 1 value(s)\n"
                '1,A,A,1,pa_color,"Red, Blue"\n'
            ),
            (None, None),
        ),
        (
            (
                "sku,product_type,attribute_set_code,additional_attributes\n"
                'A,simple,Bag,"material=Wool, silk,color=Red,gender=Men"\n'
            ),
            ("Red", "Men"),
        ),
        ("sku,product_type,attribute_set_code,color\nA,simple,Bag,Grey\n", ("Grey", None)),
    ],
)
def test_colour_and_gender_are_taken_from_options(
    tmp_path: Path, text: str, expected: tuple[str | None, str | None]
) -> None:
    fields = read(export(tmp_path, text))["A"].fields
    assert (fields["base_colour"], fields.get("gender")) == expected
    assert not any("of the options" in name for name in fields.get("attributes", {}))


def test_an_added_column_is_no_attribute_if_a_mapping_takes_its_field(tmp_path: Path) -> None:
    mapping = FeedMapping(columns={"base_colour": "Type"})
    fields = read(export(tmp_path, SHOPIFY), mapping)["SC-B"].fields
    assert fields["base_colour"] == "Scarves"
    assert not any("of the options" in name for name in fields["attributes"])


def test_the_images_of_magento_lie_below_its_folder_of_media(tmp_path: Path) -> None:
    folder = tmp_path / "pub" / "media" / "catalog" / "product" / "b" / "1"
    folder.mkdir(parents=True)
    (folder / "b1.jpg").write_bytes(b"bag")
    found = read(export(tmp_path, MAGENTO))
    image = found["B1"].image
    assert image is not None
    assert image.read(9) == b"bag"
    assert found["B1"].more_images == ("/b/1/b2.jpg",)
    assert found["B1"].fields["article_type"] == "Bags"
    assert found["B2"].image is None
    assert found["B2"].warnings == ("no image is named",)


def test_a_category_path_of_google_becomes_our_three_categories(tmp_path: Path) -> None:
    fields = read(export(tmp_path, GOOGLE))["G1"].fields
    assert [fields[name] for name in ("master_category", "sub_category", "article_type")] == [
        "Clothing",
        "Tops",
        "Shirts",
    ]
    assert (fields["display_name"], fields["base_colour"]) == ('Shirt 15" wide', "Red")


def test_the_names_of_google_are_known_in_json_lines_too(tmp_path: Path) -> None:
    line: dict[str, Any] = {"id": "G1", "title": "Hat", "image_link": "https://c/1.jpg"}
    line |= {"availability": "yes", "product_type": "Hats"}
    found = read(export(tmp_path, json.dumps(line) + "\n", "feed.jsonl"))["G1"]
    assert (found.fields["in_stock"], found.fields["article_type"]) == (True, "Hats")


def test_the_kaggle_layout_is_known_under_another_name(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "7.jpg").write_bytes(b"seven")
    image = read(export(tmp_path, KAGGLE, "my-styles.csv"))["7"].image
    assert image is not None
    assert image.read(9) == b"seven"


def test_a_mapping_wins_over_the_preset(tmp_path: Path) -> None:
    mapping = FeedMapping(columns={"display_name": "Handle"})
    assert read(export(tmp_path, SHOPIFY), mapping)["SC-R"].fields["display_name"] == "scarf"


def test_a_format_can_be_given(tmp_path: Path) -> None:
    path = export(tmp_path, "ID,SKU,Name\n5,,Hat\n")
    assert list(read(path, FeedMapping(format="woocommerce"))) == ["id:5"]
    with closing(open_source(export(tmp_path, WOO), FeedMapping(format="table"))) as source:
        assert "plain table" in source.describe().title
    with pytest.raises(ConfigurationError, match="woocommerce"):
        read(path, FeedMapping(format="prestashop"))


def test_the_help_names_every_field_and_format() -> None:
    assert ("sku", *FIELDS) == FIELD_NAMES
    assert set(NAMES) == {
        *("kaggle", "shopify", "woocommerce", "magento", "magento1", "opencart", "meta"),
        *("google", "table"),
    }


@pytest.mark.parametrize(
    ("text", "sku", "column", "value"),
    [(GOOGLE, "G1", "availability", "in_stock"), (MAGENTO, "B1", "is_in_stock", "1")],
)
def test_the_word_for_the_stock_stays_in_the_attributes(
    tmp_path: Path, text: str, sku: str, column: str, value: str
) -> None:
    row = read(export(tmp_path, text))[sku]
    assert row.fields["in_stock"] is True
    assert row.fields["attributes"][column] == value


@pytest.mark.parametrize(
    ("text", "groups"),
    [
        (SHOPIFY, {"SC-R": "scarf", "SC-B": "scarf", "belt": None}),
        (WOO, {"id:21": "id:21", "COAT-M": "id:21", "HAT": None}),
        (MAGENTO, {"B1": "B", "B2": None}),
        (GOOGLE, {"G1": "g1"}),
    ],
)
def test_variants_of_one_product_are_of_one_group(
    tmp_path: Path, text: str, groups: dict[str, str | None]
) -> None:
    found = read(export(tmp_path, text))
    assert {sku: row.fields["group_id"] for sku, row in found.items()} == groups


def test_brand_and_link_are_fields_whose_columns_stay_attributes(tmp_path: Path) -> None:
    google = read(export(tmp_path, GOOGLE))["G1"].fields
    assert (google["brand"], google["link"]) == ("Ace", "https://s/1")
    assert google["attributes"]["brand"] == "Ace"
    shopify = read(export(tmp_path, SHOPIFY))["SC-B"].fields
    assert (shopify["brand"], shopify["attributes"]["Vendor"]) == ("Ace", "Ace")
    assert shopify["attributes"]["Handle"] == "scarf"
    assert "variant_group" not in shopify["attributes"]
    assert read(export(tmp_path, MAGENTO))["B1"].fields["brand"] == "Ace"


def test_a_column_can_be_named_as_the_group(tmp_path: Path) -> None:
    text = "article_id,product_code\n108775015,0108775\n"
    mapping = FeedMapping(columns={"sku": "article_id", "group_id": "product_code"})
    fields = read(export(tmp_path, text), mapping)["108775015"].fields
    assert (fields["group_id"], fields.get("attributes")) == ("0108775", None)
