"""Exports whose columns have names of one platform alone, and the sku as that platform calls it."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from backend.catalogue.import_memory import LastLines
from backend.catalogue.import_rows import CheckedRow, read_rows
from backend.catalogue.sources import open_source

IMAGES = "https://i.example"
PRESTASHOP = f"""Product ID;Image;Name;Reference;Category;Price (tax excl.);Price (tax incl.);\
Quantity;Status
1;{IMAGES}/1.jpg;Tee;T-1;Tees;€16.00;€19.90;5;0
2;{IMAGES}/2.jpg;Cap;;Caps;€8.00;€9.90;5;1
"""
COMBINATIONS = f"""Product ID*;Attribute (Name:Type:Position)*;Value (Value:Position)*;Reference;\
Quantity;Image URLs (x,y,z...)
1;"Size:select:0, Color:color:1";"S:0, White:1";T-1;0;{IMAGES}/1.jpg
"""
WEB_SERVICE = """<prestashop><products><product><id>1</id><id_category_default>4
</id_category_default><manufacturer_name>Ace</manufacturer_name><quantity>0</quantity>
<reference>T-1</reference><price>19.900000</price><name><language id="1">Tee</language>
<language id="2">Maglietta</language></name></product></products></prestashop>"""
SHOPWARE = f"""id;productNumber;parentId;stock;translations.DEFAULT.name;price.DEFAULT.gross;\
manufacturer.translations.DEFAULT.name;cover.media.url
aa;T-1;;0;Tee;19.90;Ace;{IMAGES}/1.jpg
ab;T-2;aa;1;;;;
"""
SHOPWARE_5 = f"""ordernumber;mainnumber;name;supplier;price_EK;instock;ean;imageUrl
T-1;T;Tee;Ace;19.9;0;400000;{IMAGES}/1.jpg
"""
OXID = """OXID;OXARTNUM;OXTITLE;OXPRICE;OXPIC1;OXPIC2;OXSTOCK;OXPARENTID
a1;T-1;Tee;19.9;1.jpg;2.jpg;0;
a2;T-2;;21.9;;;1;a1
"""
ZEN_CART = """v_products_model,v_products_image,v_products_name_1,v_products_price,\
v_products_quantity,v_manufacturers_name,v_status
T-1,1.jpg,Tee,19.9000,4,Ace,0
"""
GAMBIO = """XTSOL|p_id|p_model|p_stock|p_manufacturer|p_priceNoTax|p_image|p_name.de|p_cat.0|p_cat.1
XTSOL|1|T-1|0|Ace|19.9|1.jpg|Tee|Mode|Tees
"""
BITRIX = """IE_XML_ID;IE_ID;IE_NAME;IE_ACTIVE;IE_DETAIL_PICTURE;IC_GROUP0;IC_GROUP1;CP_QUANTITY;\
CV_PRICE_1;CV_CURRENCY_1
T-1;1;Tee;N;/upload/1.jpg;Mode;Tees;4;19.90;RUB
"""
PLENTY = f"""Variation.id;Item.id;Variation.number;ItemText.name;ItemManufacturer.name;\
VariationSalesPrice.price;VariationStock.stockNet;ItemImage.url
1001;100;T-1;Tee;Ace;19.90;0;{IMAGES}/1.jpg
"""
NETSUITE = f"""Internal ID,Name,Display Name,Base Price,Available,Image URL,Matrix Item : Parent
101,T-1,Tee,19.90,0,{IMAGES}/1.jpg,TEE
"""
LIGHTSPEED = f"""Internal_ID;Internal_Variant_ID;Visible;Brand;Price;Article_Code;SKU;Stock_Level;\
Images;US_Title_Short
501;901;1;Ace;19.90;T-1;;0;{IMAGES}/1.jpg;Tee
"""
SALEOR = f"""id,name,category,product media,variant id,variant sku,\
default-channel (channel currency code),default-channel (channel price amount),\
Default (warehouse quantity)
U1,Tee,Tees,{IMAGES}/1.jpg,V1,T-1,USD,19.90,0
"""
IMPEX = """$catalogVersion=catalogversion(catalog(id[default='a']),version[default='Staged'])
INSERT_UPDATE Product;code[unique=true];name[lang=en];ean;supercategories(code);stock
;T-1;Tee;4006;tees;0
"""
EXPORTS: dict[str, tuple[str, dict[str, Any]]] = {
    "prestashop": (PRESTASHOP, {"price": 19.9, "currency": "EUR", "article_type": "Tees"}),
    "prestashop's combinations": (COMBINATIONS, {"group_id": "1"}),
    "prestashop's web service": (WEB_SERVICE, {"price": 19.9, "brand": "Ace"}),
    "shopware": (SHOPWARE, {"price": 19.9, "brand": "Ace", "group_id": "aa"}),
    "shopware 5": (SHOPWARE_5, {"price": 19.9, "brand": "Ace", "group_id": "T"}),
    "oxid": (OXID, {"price": 19.9, "group_id": "a1"}),
    "zen cart": (ZEN_CART, {"price": 19.9, "brand": "Ace"}),
    "gambio": (GAMBIO, {"price": 19.9, "brand": "Ace", "article_type": "Tees"}),
    "bitrix": (BITRIX, {"price": 19.9, "currency": "RUB", "master_category": "Mode"}),
    "plentymarkets": (PLENTY, {"price": 19.9, "brand": "Ace", "group_id": "100"}),
    "netsuite": (NETSUITE, {"price": 19.9, "group_id": "TEE"}),
    "lightspeed ecom": (LIGHTSPEED, {"price": 19.9, "brand": "Ace", "group_id": "501"}),
    "saleor": (SALEOR, {"group_id": "U1", "article_type": "Tees"}),
    "impex": (IMPEX, {"article_type": "tees"}),
}


def read(folder: Path, text: str) -> list[CheckedRow]:
    path = folder / ("feed.xml" if text.startswith("<") else "feed.csv")
    path.write_text(text.replace("\\\n", ""), encoding="utf-8")
    with closing(open_source(path)) as source:
        rows = list(read_rows(source, LastLines(source.skus())))
    return [row for row in rows if isinstance(row, CheckedRow)]


@pytest.mark.parametrize("name", EXPORTS)
def test_the_sku_is_what_the_platform_calls_so(tmp_path: Path, name: str) -> None:
    text, expected = EXPORTS[name]
    row, *_ = read(tmp_path, text)
    values = row.draft.values
    assert row.sku == "T-1"
    assert {**values, **expected} == values
    if name != "prestashop's combinations":
        assert values["display_name"] == "Tee"
    assert values["in_stock"] is False


@pytest.mark.parametrize("text", [SHOPWARE, OXID])
def test_a_variant_takes_the_texts_of_the_product_whose_id_it_names(
    tmp_path: Path, text: str
) -> None:
    product, variant = read(tmp_path, text)
    assert variant.draft.values["display_name"] == "Tee"
    assert variant.draft.values["in_stock"] is True
    assert variant.draft.values["group_id"] == product.draft.values["group_id"]


def test_a_product_without_a_reference_is_named_by_its_number(tmp_path: Path) -> None:
    assert [row.sku for row in read(tmp_path, PRESTASHOP)] == ["T-1", "id:2"]


def test_a_reference_that_repeats_gives_way_to_the_number(tmp_path: Path) -> None:
    path = tmp_path / "feed.csv"
    path.write_text("Product ID,Reference,Name,Price\n1,R,Tee,9\n2,R,Cap,8\n3,R,Hat,7\n4,,Bag,6\n")
    with closing(open_source(path)) as source:
        rows = list(read_rows(source, LastLines(source.skus())))
        remarks = source.describe().remarks
    found = {row.sku: row.draft.values for row in rows if isinstance(row, CheckedRow)}
    assert {sku: it["group_id"] for sku, it in found.items()} == {
        **dict.fromkeys("123", "R"),
        "4": None,
    }
    assert "'Product ID', because 'Reference' repeats" in remarks[0]
