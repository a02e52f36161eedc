"""Answers of shops' APIs: prices in cents, variants, and values in lists with names."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from backend.catalogue.sources import open_source
from backend.catalogue.sources.feed import FeedRow

IMAGE = "https://s.example/1.jpg"


def read(folder: Path, text: str, name: str = "feed.json") -> list[FeedRow]:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    with closing(open_source(path)) as source:
        list(source.skus())
        return [row for row in source.read() if isinstance(row, FeedRow)]


def of_json(folder: Path, value: Any) -> list[FeedRow]:
    return read(folder, json.dumps(value))


@pytest.mark.parametrize("name", ["price_cents", "price_in_cents", "unit_amount", "priceCents"])
@pytest.mark.parametrize(
    ("currency", "price"), [("EUR", 19.9), ("", 19.9), ("jpy", 1990.0), ("KWD", 1.99)]
)
def test_a_column_of_cents_is_read_in_the_usual_unit(
    tmp_path: Path, name: str, currency: str, price: float
) -> None:
    (row,) = read(tmp_path, f"sku,{name},currency\nA1,1990,{currency}\n", "feed.csv")
    assert row.fields["price"] == price


def test_a_column_of_cents_with_decimals_is_left_out_with_a_warning(tmp_path: Path) -> None:
    (row,) = read(tmp_path, "sku,price_cents\nA1,19.90\n", "feed.csv")
    assert "price" not in row.fields
    assert any("whole number of cents" in warning for warning in row.warnings)


def test_a_price_counts_more_than_its_cents(tmp_path: Path) -> None:
    (row,) = read(tmp_path, "sku,price_cents,price\nA1,1990,18.00\n", "feed.csv")
    assert row.fields["price"] == 18.0


@pytest.mark.parametrize(
    "price",
    [
        {"cents": 1990, "currency": "EUR"},
        {"centAmount": 1990, "currencyCode": "EUR", "fractionDigits": 2},
        {"unit_amount": 1990, "currency": "eur"},
        {"value": {"centAmount": 199000, "currencyCode": "EUR", "fractionDigits": 4}},
    ],
)
def test_an_object_of_cents_is_a_price(tmp_path: Path, price: dict[str, Any]) -> None:
    amount = 19.9
    (row,) = of_json(tmp_path, [{"sku": "A1", "price": price}])
    assert (row.fields["price"], row.fields["currency"]) == (amount, "EUR")


def test_stripes_products_have_the_amount_of_their_default_price(tmp_path: Path) -> None:
    price = {"id": "price_1", "currency": "eur", "unit_amount": 1990}
    product = {"id": "prod_1", "name": "Tee", "active": True, "default_price": price}
    hidden = {**product, "id": "prod_2", "active": False}
    first, second = of_json(tmp_path, {"object": "list", "data": [product, hidden]})
    assert (first.fields["price"], first.fields["in_stock"]) == (19.9, True)
    assert second.fields["in_stock"] is False


def test_an_amount_without_a_unit_is_not_guessed(tmp_path: Path) -> None:
    variant = {"sku": "A1", "prices": [{"amount": 1950, "currency_code": "eur"}]}
    (row,) = of_json(tmp_path, {"products": [{"id": "p", "title": "Tee", "variants": [variant]}]})
    assert row.fields.get("price") is None


COLOUR = {"name": "Color", "value": "Red"}


@pytest.mark.parametrize(
    "lists",
    [
        {"attributes": [{"id": 6, "name": "Color", "options": ["Red"]}]},
        {"attributes": [{"id": 6, "name": "Color", "option": "Red"}]},
        {"attributes": {"color": "Red"}},
        {"attributes": [{"name": "color", "value": {"key": "red", "label": "Red"}}]},
        {"custom_attributes": [{"attribute_code": "color", "value": "Red"}]},
        {"option_values": [{"option_display_name": "Color", "label": "Red"}]},
        {"additionalProperty": [{"@type": "PropertyValue", "name": "color", "value": "Red"}]},
        {"properties": {"Colour": "Red"}},
    ],
)
def test_a_colour_is_found_in_a_list_of_names_and_values(
    tmp_path: Path, lists: dict[str, Any]
) -> None:
    (row,) = of_json(tmp_path, [{"sku": "A1", "name": "Tee", **lists}])
    assert row.fields["base_colour"] == "Red"
    assert row.warnings == ("no image is named",)


@pytest.mark.parametrize("value", [["Red", "Blue"], "49"])
def test_several_colours_and_the_number_of_an_option_are_no_colour(
    tmp_path: Path, value: Any
) -> None:
    pairs = [{"name": "Color", "value": value}, {"name": "Size", "value": ["S", "M"]}]
    (row,) = of_json(tmp_path, [{"sku": "A1", "name": "Tee", "features": pairs}])
    assert row.fields.get("base_colour") is None
    assert row.fields["attributes"]["Size"] == ["S", "M"]


def test_names_in_other_cases_are_one_column(tmp_path: Path) -> None:
    lists = [[{"name": "Color", "value": "Red"}], [{"name": "color", "value": "Blue"}]]
    rows = of_json(tmp_path, [{"sku": f"A{at}", "attributes": it} for at, it in enumerate(lists)])
    assert [row.fields["base_colour"] for row in rows] == ["Red", "Blue"]


def test_numbers_of_categories_are_no_category(tmp_path: Path) -> None:
    (row,) = of_json(tmp_path, [{"sku": "A1", "name": "Tee", "categories": [23, 21]}])
    assert row.fields["article_type"] is None


def test_magentos_api_is_read(tmp_path: Path) -> None:
    image = tmp_path / "pub" / "media" / "catalog" / "product" / "t" / "tee.jpg"
    image.parent.mkdir(parents=True)
    image.write_bytes(b"x")
    product = {
        "sku": "M1",
        "name": "Tee",
        "attribute_set_id": 4,
        "type_id": "simple",
        "status": 1,
        "extension_attributes": {"stock_item": {"qty": 0, "is_in_stock": False}},
        "media_gallery_entries": [{"media_type": "image", "file": "/t/tee.jpg"}],
        "custom_attributes": [{"attribute_code": "image", "value": "/t/tee.jpg"}],
    }
    first, second = of_json(tmp_path, {"items": [product, {**product, "sku": "M2", "status": 2}]})
    assert first.image is not None
    assert first.fields["in_stock"] is False
    assert any("not published" in warning for warning in second.warnings)


PARENT = {"sku": "P", "name": "Tee", "brand": "Ace", "price": 19.9, "image": IMAGE}
VARIANTS = [
    {"sku": "P-S", "size": "S", "stock": 3},
    {"sku": "P-M", "size": "M", "stock": 0, "price": 21.9, "image": "https://s.example/m.jpg"},
]


@pytest.mark.parametrize("name", ["variants", "variations", "skus", "hasVariant"])
def test_variants_of_a_product_with_a_sku_are_products_of_its_group(
    tmp_path: Path, name: str
) -> None:
    other = {"sku": "Q", "name": "Cap", "price": 9}
    rows = of_json(tmp_path, [{**PARENT, name: VARIANTS}, other])
    assert [row.sku for row in rows] == ["P", "P-S", "P-M", "Q"]
    assert [row.fields["group_id"] for row in rows] == ["P", "P", "P", None]
    assert [row.fields["price"] for row in rows] == [19.9, 19.9, 21.9, 9.0]
    assert [row.fields.get("in_stock") for row in rows[1:3]] == [True, False]
    assert {row.fields["display_name"] for row in rows[:3]} == {"Tee"}
    assert rows[2].fields["image_uri"] == "https://s.example/m.jpg"
    assert not any(row.warnings for row in rows[:3])


def test_variants_in_xml_are_products_of_their_products_group(tmp_path: Path) -> None:
    variants = "<variant><sku>P-S</sku><color>Red</color></variant>" * 1
    rows = read(
        tmp_path,
        '<products><product><sku>P</sku><name>Tee</name><price currency="EUR">5</price>'
        f"<variants>{variants}</variants></product></products>",
        "feed.xml",
    )
    assert [(row.sku, row.fields["group_id"], row.fields["price"]) for row in rows] == [
        ("P", "P", 5.0),
        ("P-S", "P", 5.0),
    ]
    assert rows[1].fields["base_colour"] == "Red"


def test_a_variant_with_the_skus_of_its_product_is_the_product(tmp_path: Path) -> None:
    variants = [{"sku": "P", "color": "Red"}, {"sku": "P-2", "color": "Blue"}]
    rows = of_json(tmp_path, [{**PARENT, "variants": variants}])
    assert [(row.sku, row.fields["base_colour"]) for row in rows] == [("P", "Red"), ("P-2", "Blue")]


def test_the_stock_of_a_variant_counts_more_than_that_of_its_product(tmp_path: Path) -> None:
    product = {**PARENT, "availability": "available", "inventory_level": 7}
    variants = [{"sku": "V1", "inventory_level": 0}, {"sku": "V2", "inventory_level": 2}]
    rows = of_json(tmp_path, [{**product, "variants": variants}])
    assert [row.fields["in_stock"] for row in rows] == [True, False, True]


def test_a_quantity_of_0_that_nothing_counts_is_no_stock(tmp_path: Path) -> None:
    variant = {"inventory_management": None, "inventory_quantity": 0}
    counted = {"inventory_management": "shopify", "inventory_quantity": 0}
    variants = [{"sku": "V1", **variant}, {"sku": "V2", **counted}]
    rows = of_json(tmp_path, {"products": [{"id": 1, "title": "Tee", "variants": variants}]})
    assert [row.fields.get("in_stock") for row in rows] == [None, False]


def test_a_product_whose_variants_have_no_skus_has_price_and_stock_of_one(tmp_path: Path) -> None:
    variants = [
        {"id": 11, "sku": "", "price": "29.90", "available": False},
        {"id": 12, "sku": "", "price": "19.90", "available": True},
    ]
    (row,) = of_json(tmp_path, {"products": [{"id": 1, "title": "Tee", "variants": variants}]})
    assert (row.sku, row.fields["price"], row.fields["in_stock"]) == ("1", 19.9, True)


@pytest.mark.parametrize(
    "text",
    [
        "[{sku: 'A1', name: 'It\\'s', price: 9.90,}, {sku: 'A2', name: \"Cap\", price: +.5},]",
        """export default [
          { sku: 'A1', name: `It's`, price: 9.90 },
          { sku: 'A2', name: 'Cap', price: 0.5 }, // the last
        ];
        """,
        """const shop: Product[] = [
          {sku:'A1',name:'It\\u0027s',price:9.9},{sku:'A2',name:'Cap',price:.5}]""",
        """{products: [{sku: 'A1', 'name': 'It\\x27s', price: 9.9, tags: ['a', 'b',]},
          {sku: 'A2', name: 'C\\
ap', price: 5e-1, stock: undefined}]}""",
    ],
)
def test_objects_of_javascript_are_read(tmp_path: Path, text: str) -> None:
    rows = read(tmp_path, text)
    assert [(row.sku, row.fields["display_name"], row.fields["price"]) for row in rows] == [
        ("A1", "It's", 9.9),
        ("A2", "Cap", 0.5),
    ]


@pytest.mark.parametrize(
    ("product", "sku"),
    [
        (
            {
                "id": "online:en:US:S1",
                "offerId": "S1",
                "title": "Tee",
                "imageLink": IMAGE,
                "price": {"value": "19.90", "currency": "EUR"},
                "availability": "in stock",
                "productTypes": ["Apparel > Tees"],
            },
            "S1",
        ),
        (
            {
                "offerId": "S1",
                "name": "accounts/1/products/online~en~US~S1",
                "productAttributes": {
                    "title": "Tee",
                    "imageLink": IMAGE,
                    "availability": "IN_STOCK",
                    "price": {"amountMicros": "19900000", "currencyCode": "EUR"},
                },
            },
            "S1",
        ),
        (
            {
                "id": "S1",
                "type": "product",
                "attributes": {
                    "name": "Tee",
                    "price": "19.9",
                    "currency": "EUR",
                    "in_stock": True,
                    "image": IMAGE,
                },
            },
            "S1",
        ),
        (
            {
                "objectID": "S1",
                "name": "Tee",
                "image": IMAGE,
                "stock": 1,
                "price": {"regular": 19.9, "sale": 9.9, "currency": {"code": "EUR"}},
            },
            "S1",
        ),
    ],
)
def test_resources_of_further_apis_are_products(
    tmp_path: Path, product: dict[str, Any], sku: str
) -> None:
    (row,) = of_json(tmp_path, {"resources": [product]})
    expected = {"display_name": "Tee", "price": 19.9, "currency": "EUR", "in_stock": True}
    assert row.sku == sku
    assert {**row.fields, **expected} == row.fields
    assert row.fields["image_uri"] == IMAGE


def test_attributes_of_a_product_without_a_name_in_them_stay(tmp_path: Path) -> None:
    (row,) = of_json(tmp_path, [{"id": "A", "type": "shirt", "attributes": {"fit": "slim"}}])
    assert row.fields["attributes"] == {"fit": "slim", "type": "shirt"}
    assert row.fields["article_type"] == "shirt"


def test_of_prices_in_several_currencies_one_counts_and_the_others_are_named(
    tmp_path: Path,
) -> None:
    one, several = of_json(
        tmp_path,
        [{"sku": "A1", "price": {"EUR": 9.5}}, {"sku": "A2", "price": {"EUR": 9.5, "USD": 10}}],
    )
    assert (one.fields["price"], one.fields["currency"]) == (9.5, "EUR")
    assert (several.fields["price"], several.fields["currency"]) == (9.5, "EUR")
    said = "price: of several, that in EUR counts, and the others are left out"
    assert said in several.warnings


def test_the_attributes_and_options_of_a_variant_in_xml_are_its_own(tmp_path: Path) -> None:
    rows = read(
        tmp_path,
        '<shop><product id="10"><title>Tee</title><variants>'
        '<variant id="11" sku="T-S" price="19.90"><option name="Color">Red</option></variant>'
        '<variant id="12" sku="T-M" price="21.90"><option name="Color">Blue</option></variant>'
        "</variants></product></shop>",
        "feed.xml",
    )
    assert [(row.sku, row.fields["price"], row.fields["base_colour"]) for row in rows] == [
        ("10", None, None),
        ("T-S", 19.9, "Red"),
        ("T-M", 21.9, "Blue"),
    ]


def test_of_categories_by_level_the_deepest_counts(tmp_path: Path) -> None:
    levels = {"lvl0": "Apparel", "lvl1": "Apparel > Tees"}
    paths = [levels, {"path": ["Apparel", "Tees"]}]
    rows = of_json(tmp_path, [{"sku": f"A{at}", "category": it} for at, it in enumerate(paths)])
    found = [(row.fields["master_category"], row.fields["article_type"]) for row in rows]
    assert found == [("Apparel", "Tees")] * 2


def test_variants_of_schema_org_have_their_own_offers(tmp_path: Path) -> None:
    offers = [
        {"@type": "Offer", "price": price, "priceCurrency": "EUR", "availability": stock}
        for price, stock in ((9.9, "https://schema.org/InStock"), (8.9, "schema.org/OutOfStock"))
    ]
    variants = [
        {"@type": "Product", "sku": f"V{at}", "offers": offer} for at, offer in enumerate(offers)
    ]
    group = {"@type": "ProductGroup", "productGroupID": "G", "name": "Tee", "hasVariant": variants}
    first, second = of_json(tmp_path, group)
    assert (first.fields["price"], first.fields["in_stock"]) == (9.9, True)
    assert (second.fields["price"], second.fields["in_stock"]) == (8.9, False)
    assert first.fields["group_id"] == "G"


def test_a_variable_product_of_woocommerces_api_has_its_price_and_no_colour(tmp_path: Path) -> None:
    product = {
        "id": 10,
        "sku": "P",
        "name": "Tee",
        "price": "9",
        "regular_price": "",
        "stock_status": "instock",
        "images": [{"src": IMAGE}],
        "variations": [11, 12],
        "attributes": [{"name": "Color", "options": ["Red", "Blue"]}],
    }
    (row,) = of_json(tmp_path, [product])
    assert (row.fields["price"], row.fields["base_colour"]) == (9.0, None)
    assert "Blue" in row.fields["attributes"]["attribute_list"]
    assert row.warnings == ()


def test_the_colour_of_woocommerces_products_is_read_in_every_form(tmp_path: Path) -> None:
    product = {
        "id": 1,
        "sku": "A",
        "name": "Tee",
        "regular_price": "9.90",
        "stock_status": "instock",
    }
    attributes = [{"name": "Color", "options": ["Red"]}]
    (row,) = of_json(tmp_path, [{**product, "images": [], "attributes": attributes}])
    assert row.fields["base_colour"] == "Red"

    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "a.parquet"
    columns = {"ID": 1, "SKU": "A", "Name": "Tee", "Regular price": "9.90"}
    pairs = {"Attribute 1 name": "Color", "Attribute 1 value(s)": "Red"}
    pq.write_table(pa.Table.from_pylist([{**columns, **pairs}]), path)
    with closing(open_source(path)) as source:
        (packed,) = source.read()
    assert isinstance(packed, FeedRow)
    assert packed.fields["base_colour"] == "Red"
