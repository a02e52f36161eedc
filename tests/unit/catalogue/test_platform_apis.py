"""Answers of the APIs, and XML, of further platforms: variants, groups, prices in cents."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from backend.catalogue.import_memory import LastLines
from backend.catalogue.import_rows import CheckedRow, read_rows
from backend.catalogue.sources import open_source
from backend.catalogue.sources.feed import FeedRow

I = "https://i.example"  # noqa: E741 - an address of images


def read(folder: Path, feed: Any) -> dict[str, dict[str, Any]]:
    """Return the values of each sku."""
    is_xml = isinstance(feed, str)
    path = folder / ("feed.xml" if is_xml else "feed.json")
    path.write_text(feed if is_xml else json.dumps(feed), encoding="utf-8")
    with closing(open_source(path)) as source:
        rows = list(read_rows(source, LastLines(source.skus())))
        images = {
            it.sku: it.fields.get("image_uri") for it in source.read() if isinstance(it, FeedRow)
        }
    checked = [row for row in rows if isinstance(row, CheckedRow)]
    return {row.sku: {**row.draft.values, "image_uri": images[row.sku]} for row in checked}


def test_mercadolibres_variations_are_products(tmp_path: Path) -> None:
    item = {
        "id": "MLA1",
        "title": "Remera",
        "price": 1990,
        "currency_id": "ARS",
        "permalink": "https://s.example/1",
        "pictures": [{"id": "P1", "url": f"{I}/1.jpg"}, {"id": "P2", "url": f"{I}/2.jpg"}],
        "attributes": [{"id": "BRAND", "name": "Marca", "value_name": "Ace"}],
        "variations": [
            {
                "id": at,
                "price": 1990,
                "attribute_combinations": [{"name": "Color", "value_name": colour}],
                "available_quantity": stock,
                "picture_ids": [f"P{at}"],
                "seller_custom_field": f"R-{at}",
            }
            for at, colour, stock in ((1, "Rojo", 3), (2, "Azul", 0))
        ],
    }
    found = read(tmp_path, [item])
    expected = {"display_name": "Remera", "price": 1990.0, "currency": "ARS", "brand": "Ace"}
    assert found.keys() == {"R-1", "R-2"}
    assert all({**values, **expected} == values for values in found.values())
    assert [it["base_colour"] for it in found.values()] == ["Rojo", "Azul"]
    assert [it["in_stock"] for it in found.values()] == [True, False]
    assert [it["group_id"] for it in found.values()] == ["MLA1"] * 2
    assert found["R-2"]["image_uri"] == f"{I}/2.jpg"


def test_vtex_items_have_the_offer_of_their_seller(tmp_path: Path) -> None:
    offer = {"Price": 199.9, "ListPrice": 249.9, "AvailableQuantity": 0}
    product = {
        "productId": "1",
        "productName": "Camisa",
        "brand": "Ace",
        "categories": ["/Roupas/Camisas/", "/Roupas/"],
        "items": [
            {
                "itemId": "11",
                "name": "Camisa Azul",
                "Cor": ["Azul"],
                "images": [{"imageId": "1", "imageUrl": f"{I}/1.jpg"}],
                "sellers": [{"sellerId": "1", "commertialOffer": offer}],
            }
        ],
    }
    (values,) = read(tmp_path, [product]).values()
    expected = {"display_name": "Camisa", "price": 199.9, "in_stock": False, "brand": "Ace"}
    assert {**values, **expected, "base_colour": "Azul", "article_type": "Camisas"} == values


def test_spree_has_the_images_of_the_master_and_the_options_of_the_variants(
    tmp_path: Path,
) -> None:
    colour = {"presentation": "Red", "option_type_presentation": "Color", "name": "red"}
    variant = {"id": 2, "sku": "T-R", "price": "19.99", "in_stock": False, "images": []}
    master = {"id": 1, "sku": "T", "price": "19.99", "images": [{"product_url": f"{I}/1.jpg"}]}
    product = {
        "id": 1,
        "name": "Tee",
        "price": "19.99",
        "master": master,
        "variants": [{**variant, "option_values": [colour]}],
        "product_properties": [{"property_name": "Brand", "value": "Ace"}],
    }
    cap = {"id": 2, "name": "Cap", "price": "9.99", "master": {**master, "sku": "C"}}
    found = read(tmp_path, {"products": [product, {**cap, "variants": []}]})
    assert found.keys() == {"T-R", "C"}
    assert (found["T-R"]["base_colour"], found["T-R"]["brand"]) == ("Red", "Ace")
    assert found["T-R"]["image_uri"] == f"{I}/1.jpg"
    assert found["T-R"]["in_stock"] is False


def test_vendures_price_with_tax_is_in_cents(tmp_path: Path) -> None:
    variant = {
        "sku": "T-R",
        "price": 1658,
        "priceWithTax": 1990,
        "currencyCode": "EUR",
        "stockLevel": "OUT_OF_STOCK",
        "options": [{"name": "Red", "group": {"name": "Color"}}],
    }
    product = {
        "id": "1",
        "name": "Tee",
        "assets": [{"preview": f"{I}/1.jpg"}],
        "facetValues": [{"name": "Ace", "facet": {"name": "Brand"}}],
        "variants": [variant],
    }
    (values,) = read(tmp_path, {"data": {"products": {"items": [product]}}}).values()
    expected = {"price": 19.9, "currency": "EUR", "in_stock": False, "base_colour": "Red"}
    assert {**values, **expected, "brand": "Ace", "image_uri": f"{I}/1.jpg"} == values


def test_sylius_names_its_variants_by_a_code(tmp_path: Path) -> None:
    variants = [{"code": "tee-red", "name": "Red", "price": 1990, "inStock": False}]
    product = {"@id": "/api/v2/shop/products/tee", "code": "tee", "name": "Tee"}
    found = read(tmp_path, {"hydra:member": [{**product, "variants": variants}]})
    expected = {"display_name": "Tee", "price": 19.9, "in_stock": False, "group_id": "tee"}
    assert {**found["tee-red"], **expected} == found["tee-red"]


SALESFORCE = """<catalog xmlns="http://www.demandware.com/xml/impex/catalog/2006-10-31">
<category category-id="shirts"><display-name xml:lang="x-default">Shirts</display-name></category>
<product product-id="TEE"><display-name xml:lang="x-default">Tee</display-name><images>
<image-group view-type="large"><image path="large/1.jpg"/><image path="large/2.jpg"/></image-group>
<image-group view-type="small"><image path="small/1.jpg"/></image-group></images>
<variations><variants><variant product-id="TEE-R" default="true"/><variant product-id="TEE-B"/>
</variants></variations><classification-category>shirts</classification-category></product>
<product product-id="TEE-R"><display-name xml:lang="x-default">Tee</display-name></product>
<product product-id="TEE-B"><display-name xml:lang="x-default">Tee</display-name></product>
<product product-id="CAP"><display-name xml:lang="x-default">Cap</display-name></product>
</catalog>"""


def test_salesforces_masters_name_their_variants(tmp_path: Path) -> None:
    for name in ("large/1.jpg", "large/2.jpg", "small/1.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    found = read(tmp_path, SALESFORCE)
    assert {sku: it.get("group_id") for sku, it in found.items()} == {
        "TEE": "TEE",
        "TEE-R": "TEE",
        "TEE-B": "TEE",
        "CAP": None,
    }
    assert found["TEE"]["article_type"] == "Shirts"


def test_of_salesforces_images_one_size_counts(tmp_path: Path) -> None:
    path = tmp_path / "feed.xml"
    path.write_text(SALESFORCE)
    with closing(open_source(path)) as source:
        row = next(iter(source.read()))
    assert [text for text in getattr(row, "warnings", ()) if "small" in text] == []
    assert any("large/2.jpg" in text for text in getattr(row, "warnings", ()))


def test_shoptets_codes_are_skus(tmp_path: Path) -> None:
    parameters = "<PARAMETER><NAME>Barva</NAME><VALUE>Modrá</VALUE></PARAMETER>"
    found = read(
        tmp_path,
        '<SHOP><SHOPITEM id="12"><NAME>Tričko</NAME><MANUFACTURER>Ace</MANUFACTURER><VARIANTS>'
        "<VARIANT id='31'><CODE>T-B</CODE><CURRENCY>CZK</CURRENCY><PRICE_VAT>499</PRICE_VAT>"
        f"<STOCK><AMOUNT>0</AMOUNT></STOCK><PARAMETERS>{parameters}</PARAMETERS></VARIANT>"
        "</VARIANTS></SHOPITEM><SHOPITEM id='13'><NAME>Čepice</NAME><CODE>C-1</CODE>"
        "<PRICE_VAT>199</PRICE_VAT></SHOPITEM></SHOP>",
    )
    expected = {"display_name": "Tričko", "price": 499.0, "base_colour": "Modrá", "brand": "Ace"}
    assert {**found["T-B"], **expected, "in_stock": False, "group_id": "12"} == found["T-B"]
    assert found["C-1"]["price"] == 199.0


def test_commerceml_gives_prices_and_the_maker(tmp_path: Path) -> None:
    price = "<Цена><ИдТипаЦены>t</ИдТипаЦены><ЦенаЗаЕдиницу>1990</ЦенаЗаЕдиницу>"
    found = read(
        tmp_path,
        "<КоммерческаяИнформация><Предложения><Предложение><Ид>u-1</Ид><Артикул>T-1</Артикул>"
        f"<Наименование>Рубашка</Наименование><Цены>{price}<Валюта>RUB</Валюта></Цена></Цены>"
        "<Изготовитель><Ид>i1</Ид><Наименование>Ace</Наименование></Изготовитель>"
        "<Количество>0</Количество></Предложение></Предложения></КоммерческаяИнформация>",
    )
    expected = {"price": 1990.0, "currency": "RUB", "brand": "Ace", "in_stock": False}
    assert {**found["T-1"], **expected} == found["T-1"]


def test_akeneos_values_are_those_of_the_first_locale(tmp_path: Path) -> None:
    price = [{"amount": "19.90", "currency": "EUR"}]
    values = {
        "name": [{"locale": "en_US", "scope": None, "data": "Tee"}],
        "color": [{"locale": None, "scope": None, "data": "red"}],
        "price": [{"locale": None, "scope": None, "data": price}],
    }
    item = {"identifier": "T-1", "parent": "tee", "enabled": True, "values": values}
    found = read(tmp_path, {"_embedded": {"items": [item]}})
    expected = {"display_name": "Tee", "price": 19.9, "currency": "EUR", "base_colour": "red"}
    assert {**found["T-1"], **expected, "group_id": "tee"} == found["T-1"]


def test_variants_of_magentos_graphql_are_products(tmp_path: Path) -> None:
    price = {"minimum_price": {"regular_price": {"value": 21.9, "currency": "USD"}}}
    product = {"sku": "T-R", "stock_status": "OUT_OF_STOCK", "price_range": price}
    variant = {"product": product, "attributes": [{"code": "color", "label": "Red"}]}
    item = {"sku": "T", "name": "Tee", "stock_status": "IN_STOCK", "variants": [variant]}
    found = read(tmp_path, {"data": {"products": {"items": [item]}}})
    expected = {"price": 21.9, "currency": "USD", "in_stock": False, "base_colour": "Red"}
    assert {**found["T-R"], **expected, "group_id": "T"} == found["T-R"]


def test_stock_in_an_object_is_read(tmp_path: Path) -> None:
    stocks = [{"trackInventory": True, "quantity": 0}, {"quantity": 0, "unlimited": True}]
    found = read(tmp_path, [{"sku": f"A{at}", "stock": it} for at, it in enumerate(stocks)])
    assert [it["in_stock"] for it in found.values()] == [False, True]


def test_values_within_properties_of_xml_are_read(tmp_path: Path) -> None:
    found = read(
        tmp_path,
        '<products><product ID="T-1"><name>Tee</name><price currency="EUR">19.90</price>'
        '<properties><property name="brand"><value>Ace</value></property>'
        '<property name="color"><value>Red</value></property></properties></product></products>',
    )
    assert (found["T-1"]["brand"], found["T-1"]["base_colour"]) == ("Ace", "Red")


@pytest.mark.parametrize("with_tax", [20, 19.99])
def test_a_price_with_tax_of_another_api_is_not_in_cents(tmp_path: Path, with_tax: float) -> None:
    product = {"sku": "A", "name": "Tee", "price": 16.5, "priceWithTax": with_tax}
    assert read(tmp_path, [product])["A"]["price"] == 16.5
    assert read(tmp_path, [{**product, "currencyCode": "EUR"}])["A"]["price"] == 16.5


def test_whole_prices_of_another_api_platform_are_not_cents(tmp_path: Path) -> None:
    product = {"@id": "/api/v1/products/1", "sku": "A", "name": "Tee", "price": 20}
    assert read(tmp_path, [product])["A"]["price"] == 20
