"""Exports of platforms that have no format of their own: columns and items by their usual names."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from backend.catalogue.import_memory import LastLines
from backend.catalogue.import_rows import CheckedRow, read_rows
from backend.catalogue.sources import open_source
from backend.catalogue.sources.feed import CutOff, Reject
from backend.errors import UnreadableCatalogue

C = "https://c"
PRESTASHOP = f'''Product ID;Active (0/1);Name *;Categories (x,y,z...);Price tax excluded;\
Reference #;Manufacturer;Quantity;Image URLs (x,y,z...)
1;1;"Chemise ""Été""";Chemises;19,90;CH-01;Acé;3;{C}/1.jpg,{C}/2.jpg
'''
PRESTASHOP_LIST = f""""ID";"Image";"Nom";"Catégorie";"Prix (HT)";"Prix (TTC)";"Quantité"
CH-01;{C}/1.jpg|{C}/2.jpg;Chemise;Chemises;"16,58 €";"19,90 €";12
"""
AMAZON = f"""TemplateType=fptcustom\tVersion=2019.0611\tThe top 3 rows are not yours.\t\t
Seller SKU\tProduct Name\tStandard Price\tQuantity\tMain Image URL\tOther Image URL1\tColor
item_sku\titem_name\tstandard_price\tquantity\tmain_image_url\tother_image_url1\tcolor_name
CH-01\tShirt\t19.90\t5\t{C}/1.jpg\t{C}/2.jpg\tNavy
"""
EBAY = f"""*Action(SiteID=US|Country=US|Currency=USD|Version=1193),CustomLabel,*Title,PicURL,\
*Quantity,*StartPrice
Add,CH-01,Shirt,{C}/1.jpg|{C}/2.jpg,3,19.90
"""
SQUARESPACE = f"""Product ID [Non Editable],Title,SKU,Price,Stock,Categories,Hosted Image URLs
5f,Tee,CH-01,19.90,Unlimited,/Shirts,{C}/1.jpg {C}/2.jpg
"""
WIX = f"""handleId,fieldType,name,productImageUrl,sku,price,inventory,brand
Product_1,Product,Tee,{C}/1.jpg;{C}/2.jpg,CH-01,19.9,InStock,Ace
"""
GERMAN = f"""Artikelnummer;Bezeichnung;Farbe;Geschlecht;Marke;Preis;Bestand;Bild;Kategorie
CH-01;Hemd;Blau;Herren;Ace;19,90 €;3 Stück;{C}/1.jpg,{C}/2.jpg;Mode > Hemden
"""
JAPANESE = f"""商品コード,商品名,カラー,価格,在庫数,画像,カテゴリ
CH-01,シャツ,紺,"19,90",3,{C}/1.jpg {C}/2.jpg,服
"""
TITLED = f"""Product export of 1 May,,,,
,,,,
sku,name,price,stock,images
CH-01,Shirt,19.90,3,{C}/1.jpg|{C}/2.jpg
"""
WRAPPED = f""""sku,name,price,stock,images"
"CH-01,""Shirt, blue"",19.90,3,{C}/1.jpg|{C}/2.jpg"
"""
YANDEX = f"""<?xml version="1.0" encoding="UTF-8"?><!DOCTYPE yml_catalog SYSTEM "shops.dtd">
<yml_catalog><shop><name>S</name><offers><offer id="CH-01" available="true"><price>19.90</price>
<currencyId>RUB</currencyId><picture>{C}/1.jpg</picture><picture>{C}/2.jpg</picture>
<name>Shirt</name><vendor>Ace</vendor><param name="Цвет">Синий</param></offer></offers></shop>
</yml_catalog>"""
HEUREKA = f"""<SHOP><SHOPITEM><ITEM_ID>CH-01</ITEM_ID><PRODUCTNAME>Shirt</PRODUCTNAME>
<IMGURL>{C}/1.jpg</IMGURL><IMGURL_ALTERNATIVE>{C}/2.jpg</IMGURL_ALTERNATIVE>
<PRICE_VAT>19,90</PRICE_VAT><CATEGORYTEXT>Heureka | Mode | Hemden</CATEGORYTEXT>
<PARAM><PARAM_NAME>Barva</PARAM_NAME><VAL>Blau</VAL></PARAM></SHOPITEM></SHOP>"""
SALESFORCE = f"""<catalog xmlns="http://www.demandware.com/xml/impex/catalog/2006-10-31">
<product product-id="CH-01"><display-name xml:lang="x-default">Shirt</display-name>
<brand>Ace</brand><price>19.90</price><images><image-group view-type="large">
<image path="{C}/1.jpg"/><image path="{C}/2.jpg"/></image-group></images><custom-attributes>
<custom-attribute attribute-id="color">Blau</custom-attribute></custom-attributes></product>
</catalog>"""
POLISH = f"""Kod produktu;Nazwa produktu;Kolor;Kategoria;Cena brutto;Stan magazynowy;Zdjęcie
CH-01;Koszula;Biały;Moda/Męskie/Koszule;19,90 zł;3;{C}/1.jpg,{C}/2.jpg
"""
TURKISH = f"""Stok Kodu;Ürün Adı;Renk;Kategori;Fiyat;Stok;Resim
CH-01;Gömlek;Beyaz;Erkek > Gömlek;19,90;3;{C}/1.jpg,{C}/2.jpg
"""  # noqa: RUF001 - a letter of Turkish
CHINESE = f"""商品编号,商品名称,颜色,分类,价格,库存,图片
CH-01,衬衫,白色,服装 > 衬衫,19.90,3,{C}/1.jpg {C}/2.jpg
"""
SWEDISH = f"""Artikelnummer;Benämning;Färg;Varugrupp;Pris;Lagersaldo;Bild
CH-01;Skjorta;Vit;Dam > Skjortor;19,90;3;{C}/1.jpg,{C}/2.jpg
"""
THREE_LANGUAGES = f"""SKU / Artikelnummer / Référence;Name / Bezeichnung / Nom;\
Colour | Farbe | Couleur;Price / Preis / Prix;Image / Bild
CH-01;Hemd;Blau;19,90;{C}/1.jpg,{C}/2.jpg
"""
OPENCART = f"""product_id,name(en-gb),categories,sku,upc,quantity,model,manufacturer,image_name,\
price,status,tax_class_id
40,Shirt,"20,24",,,3,CH-01,Ace,"{C}/1.jpg,{C}/2.jpg",19.9000,true,9
"""
VARIANTS = f"""sku,parent,name,price_inc_vat,images
CH-01,CH,Shirt,19.90,{C}/1.jpg|{C}/2.jpg
"""
MARKET = f"""<yml_catalog><shop><categories><category id="1">Обувь</category>
<category id="2" parentId="1">Кеды</category></categories><offers><offer id="CH-01">
<categoryId>2</categoryId><price>19.90</price><picture>{C}/1.jpg</picture>
<picture>{C}/2.jpg</picture><model>Star</model></offer></offers></shop></yml_catalog>"""
ITEM = {
    "id": "CH-01",
    "title": "Shirt",
    "price": {"amount": "19.90", "currencyCode": "EUR"},
    "images": [{"src": f"{C}/1.jpg"}, {"src": f"{C}/2.jpg"}],
    "brand": {"name": "Ace"},
}
EXPORTS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "prestashop": ("csv", PRESTASHOP, {"display_name": 'Chemise "Été"', "brand": "Acé"}),
    "prestashop's list": ("csv", PRESTASHOP_LIST, {"currency": "EUR", "article_type": "Chemises"}),
    "amazon": ("txt", AMAZON, {"base_colour": "Navy", "in_stock": True}),
    "ebay": ("csv", EBAY, {"display_name": "Shirt", "in_stock": True}),
    "squarespace": ("csv", SQUARESPACE, {"display_name": "Tee", "in_stock": True}),
    "wix": ("csv", WIX, {"group_id": "Product_1", "brand": "Ace"}),
    "german": (
        "csv",
        GERMAN,
        {
            "display_name": "Hemd",
            "base_colour": "Blau",
            "gender": "Herren",
            "master_category": "Mode",
            "article_type": "Hemden",
        },
    ),
    "japanese": ("csv", JAPANESE, {"display_name": "シャツ", "base_colour": "紺"}),
    "polish": (
        "csv",
        POLISH,
        {"display_name": "Koszula", "master_category": "Moda", "article_type": "Koszule"},
    ),
    "turkish": ("csv", TURKISH, {"display_name": "Gömlek", "in_stock": True}),
    "chinese": ("csv", CHINESE, {"display_name": "衬衫", "article_type": "衬衫"}),
    "swedish": ("csv", SWEDISH, {"display_name": "Skjorta", "article_type": "Skjortor"}),
    "three languages": ("csv", THREE_LANGUAGES, {"display_name": "Hemd", "base_colour": "Blau"}),
    "opencart": ("csv", OPENCART, {"display_name": "Shirt", "brand": "Ace", "in_stock": True}),
    "variants": ("csv", VARIANTS, {"group_id": "CH"}),
    "yandex's categories": (
        "xml",
        MARKET,
        {"master_category": "Обувь", "article_type": "Кеды", "display_name": "Star"},
    ),
    "below a title": ("csv", TITLED, {"display_name": "Shirt", "in_stock": True}),
    "quoted lines": ("csv", WRAPPED, {"display_name": "Shirt, blue", "in_stock": True}),
    "yandex": ("xml", YANDEX, {"base_colour": "Синий", "currency": "RUB", "brand": "Ace"}),
    "heureka": ("xml", HEUREKA, {"base_colour": "Blau", "article_type": "Hemden"}),
    "salesforce": ("xml", SALESFORCE, {"base_colour": "Blau", "display_name": "Shirt"}),
    "json list": ("json", json.dumps([ITEM], indent=1), {"brand": "Ace", "currency": "EUR"}),
    "json object": ("json", json.dumps({"count": 1, "products": [ITEM]}), {"brand": "Ace"}),
    "one object": ("json", json.dumps(ITEM, indent=2), {"brand": "Ace"}),
}


def read(folder: Path, text: str, ending: str) -> tuple[list[CheckedRow | Reject], CutOff | None]:
    (folder / f"export.{ending}").write_text(text, encoding="utf-8")
    with closing(open_source(folder / f"export.{ending}")) as source:
        return list(read_rows(source, LastLines(source.skus()))), source.cut_off()


@pytest.mark.parametrize("platform", EXPORTS)
def test_an_export_gives_price_images_and_values_without_an_option(
    tmp_path: Path, platform: str
) -> None:
    ending, text, expected = EXPORTS[platform]
    (row,), cut_off = read(tmp_path, text, ending)
    assert isinstance(row, CheckedRow)
    values = row.draft.values
    assert (row.sku, values["price"], cut_off) == ("CH-01", 19.9, None)
    assert values | expected == values
    assert row.draft.image is not None
    assert [row.draft.image.uri, *(row.further or ())] == [f"{C}/1.jpg", f"{C}/2.jpg"]


def test_a_column_with_a_further_name_stays_an_attribute(tmp_path: Path) -> None:
    (row,), _ = read(tmp_path, "sku,Farbe,Bestand,category\nA,Blau,3,A > B\n", "csv")
    assert isinstance(row, CheckedRow)
    assert row.draft.values["base_colour"] == "Blau"
    assert row.draft.values["attributes"] == {"Farbe": "Blau", "Bestand": "3", "category": "A > B"}


def test_a_column_type_is_the_article_type_where_no_category_is_given(tmp_path: Path) -> None:
    (alone,), _ = read(tmp_path, "sku,name,Type\nA,Tee,Shirts\n", "csv")
    (beside,), _ = read(tmp_path, "sku,name,Type,Category\nA,Tee,simple,Shirts\n", "csv")
    assert isinstance(alone, CheckedRow)
    assert isinstance(beside, CheckedRow)
    assert alone.draft.values["article_type"] == beside.draft.values["article_type"] == "Shirts"


def test_a_further_name_does_not_displace_the_usual_one(tmp_path: Path) -> None:
    text = "ean,sku,color,Farbe,price,list_price\n4006381333931,A,Red,Blau,1.50,2.50\n"
    (row,), _ = read(tmp_path, text, "csv")
    assert isinstance(row, CheckedRow)
    assert (row.sku, row.draft.values["base_colour"], row.draft.values["price"]) == (
        "A",
        "Red",
        1.5,
    )


def test_a_backslash_before_a_quote_is_no_part_of_the_value(tmp_path: Path) -> None:
    rows, _ = read(tmp_path, 'sku,name,size\nA,"5\\" pipe, red",M\nB,plain,L\n', "csv")
    names = [row.draft.values["display_name"] for row in rows if isinstance(row, CheckedRow)]
    assert names == ['5" pipe, red', "plain"]


def test_a_header_that_nothing_divides_says_which_option_helps(tmp_path: Path) -> None:
    with pytest.raises(UnreadableCatalogue, match="--delimiter"):
        read(tmp_path, "sku÷name\nA÷x\n", "csv")


@pytest.mark.parametrize(
    ("text", "skus", "is_cut"),
    [
        ('[{"id": "A"}, {"id": "B"}]', ["A", "B"], False),
        ('[{"id": "A"}, {"id": "B", "ti', ["A"], True),
        ('[{"id": "A"},\n', ["A"], True),
        ('[{"id": "A"}, {"id": "B" "x"}, {"id": "C"}]', ["A", "C"], True),
        ('{"id": "A", "items": [{"id": "x"}]}\n{"id": "B"}\n', ["A", "B"], False),
        ('{\n "id": "A"\n}\n{\n "id": "B"\n}\n', ["A", "B"], False),
        ('{"data": {"products": [{"id": "A"}], "next": null}}', ["A"], False),
        ('{"hits": {"hits": [{"_id": "x", "_source": {"sku": "A"}}]}}', ["A"], False),
        (
            '{"data": {"products": {"edges": [{"node": {"id": "A"}}, {"node": {"id": "B"}}]}}}',
            ["A", "B"],
            False,
        ),
        (
            '{"data": {"products": {"pageInfo": {"next": 1}, "edges": [{"node": {"id": "A"}}]}}}',
            ["A"],
            False,
        ),
        ('{"data": {"products": {"nodes": [{"sku": "A"}, {"sku"', ["A"], True),
        (
            '{"A": {"title": "Tee", "price": 9}, "B": {"title": "Cap", "price": 8}}',
            ["A", "B"],
            False,
        ),
        ('{"products": {"A": {"title": "Tee", "price": 9}}}', ["A"], False),
        (
            '{\n "A": {"title": "Tee", "price": 9},\n "x": {"sku": "B", "title": "Cap"}\n}\n',
            ["A", "B"],
            False,
        ),
        ('{"A": {"title": "Tee", "price": 9}, "B": {"title": "Cap", "pr', ["A"], True),
        (
            '{"A": {"title": "Tee", "price": 9}, "B": {"title": "Cap", "price": 8}, "C": 5}',
            ["A", "B"],
            True,
        ),
        (
            '{"price": {"value": 9, "currency": "EUR"}, "name": {"en": "Tee"}, "id": "A"}\n',
            ["A"],
            False,
        ),
    ],
)
def test_a_json_document_gives_its_whole_items(
    tmp_path: Path, text: str, skus: list[str], is_cut: bool
) -> None:
    rows, cut_off = read(tmp_path, text, "json")
    assert [row.sku for row in rows if isinstance(row, CheckedRow)] == skus
    assert bool(cut_off) is is_cut


@pytest.mark.parametrize(
    ("rows", "names"),
    [
        ("A,Tee,9\rB,Cap,8\nC,Hat,7\n", ["Tee", "Cap", "Hat"]),
        (
            "A,Tee,9\r\nB,Cap,8\rC,Hat,7\rD,Bag,6\r\nE,Sock,5\n",
            ["Tee", "Cap", "Hat", "Bag", "Sock"],
        ),
        ('A,"Tee, red",9\rB,"Cap ""x""",8\nC,Hat,7\n', ["Tee, red", 'Cap "x"', "Hat"]),
        ("A,Tee\rred,9\nB,Cap,8\n", ["Tee red", "Cap"]),
        ('A,"Tee\rred",9\nB,Cap,8\n', ["Tee red", "Cap"]),
    ],
)
def test_a_lone_return_among_line_feeds_ends_a_row_or_divides_a_text(
    tmp_path: Path, rows: str, names: list[str]
) -> None:
    (tmp_path / "feed.csv").write_bytes(f"sku,name,price\n{rows}".encode())
    with closing(open_source(tmp_path / "feed.csv")) as source:
        found = list(read_rows(source, LastLines(source.skus())))
    read = [row for row in found if isinstance(row, CheckedRow)]
    assert [" ".join(row.draft.values["display_name"].split()) for row in read] == names
    assert all("price" in row.draft.values for row in read)


def test_an_object_of_long_items_is_known_by_their_names(tmp_path: Path) -> None:
    items = {f"00{at}": {"title": "ü" * 2_000, "price": at} for at in range(100)}
    rows, _ = read(tmp_path, json.dumps(items), "json")
    assert [row.sku for row in rows if isinstance(row, CheckedRow)] == list(items)


def test_a_long_json_list_is_read_in_parts(tmp_path: Path) -> None:
    items = [{"id": f"s{at}", "title": "ü" * 100} for at in range(3_000)]
    rows, _ = read(tmp_path, json.dumps(items, ensure_ascii=False), "json")
    assert len(rows) == 3_000
    assert all(isinstance(row, CheckedRow) for row in rows)


def test_a_product_of_opencart_without_a_sku_has_its_model_or_number(tmp_path: Path) -> None:
    text = "product_id,model,sku,upc,image,name\n"
    rows = [f"40,M-1,,,{C}/1.jpg,A", f"41,M-1,,,{C}/2.jpg,B", f"42,,,,{C}/3.jpg,C"]
    found, _ = read(tmp_path, text + "\n".join([*rows, f"43,M-2,S-1,,{C}/4.jpg,D", ""]), "csv")
    assert [row.sku for row in found] == ["M-1", "id:41", "id:42", "S-1"]


def test_a_product_that_prestashop_does_not_show_is_not_in_stock(tmp_path: Path) -> None:
    (row,), _ = read(tmp_path, PRESTASHOP.replace("1;1;", "1;0;"), "csv")
    assert isinstance(row, CheckedRow)
    assert row.draft.values["in_stock"] is False
