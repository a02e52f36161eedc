"""Exports of marketplaces and platforms in several languages, read by their columns' names."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from backend.catalogue.import_memory import LastLines
from backend.catalogue.import_rows import CheckedRow, read_rows
from backend.catalogue.sources import open_source

I = "https://i.example"  # noqa: E741 - an address of images
ALLEGRO = f"""ID oferty;Link do oferty;Liczba sztuk;SKU/Sygnatura Sprzedającego;Tytuł oferty;\
Cena PL;Kategoria główna;Podkategoria;Zdjęcia;Opis oferty;Marka;Kolor
9001;https://s.example/1;0;T-1;Koszula;49,90;Moda;Koszule;{I}/1.jpg|{I}/2.jpg;Miękka;Ace;Biały
"""
TRENDYOL = f"""Barkod;Model Kodu;Marka;Kategori;Para Birimi;Ürün Adı;\
Piyasa Satış Fiyatı (KDV Dahil);Trendyol'da Satılacak Fiyat (KDV Dahil);Ürün Stok Adedi;Stok Kodu;\
Görsel 1;Görsel 2;Ürün Rengi;Cinsiyet
869001;TEE;Ace;Gömlek;TRY;Pamuklu;249,90;199,90;0;T-1;{I}/1.jpg;{I}/2.jpg;Kırmızı;Erkek
"""  # noqa: RUF001 - a letter of Turkish
SHOPTET = f"""code;pairCode;name;price;currency;stock;image;image2;categoryText;manufacturer;\
productVisibility;variant:Barva;ean
T-1;12;Tričko;499,00;CZK;4;{I}/1.jpg;{I}/2.jpg;Oblečení > Trička;Ace;hidden;Červená;859
"""
SALLA = f"""النوع,أسم المنتج,تصنيف المنتج,صورة المنتج,سعر المنتج,الكمية المتوفرة,رمز المنتج sku
منتج,قميص,ملابس > قمصان,"{I}/1.jpg,{I}/2.jpg",199.00,0,T-1
"""
LIGHTSPEED = f"""System ID,UPC,EAN,Custom SKU,Manufact. SKU,Item,Qty.,Price,Brand,Season,\
Department,Category,Image 1,Image 2
2100001,,,T-1,M1,Tee,0,$19.90,Ace,Summer,Mens,Tees,{I}/1.jpg,{I}/2.jpg
"""
CS_CART = f"""Product code;Language;Category;Price;Quantity;Product name;Detailed image;\
Variation group code
T-1;en;Apparel///Men///Tees;19.90;0;Tee;"{I}/1.jpg#{{[en]:Tee;}}";TG
"""
AKENEO = f"""identifier;family;parent;categories;enabled;name-en_US-ecommerce;price-ecommerce-EUR;\
picture;color
T-1;clothing;tee;tees;0;Tee;19.90;{I}/1.jpg;red
"""
FRUUGO = f"""ProductId,SkuId,EAN,Brand,Category,Title,Imageurl1,Imageurl2,StockStatus,\
NormalPriceWithVAT,Currency,AttributeColor
TEE,T-1,4006,Ace,Apparel > Tees,Tee,{I}/1.jpg,{I}/2.jpg,OUTOFSTOCK,19.90,GBP,Red
"""
WALMART = f"""SKU,Item ID,Product Name,Publish Status,Product Category,Price,Currency,\
Item Page URL,Primary Image URL,Inventory Count,Variant Group ID
T-1,881,Tee,UNPUBLISHED,Tees,19.90,USD,https://s.example/1,{I}/1.jpg,4,VG
"""
ODOO = f""""Internal Reference","Name","Sales Price","Product Category","Quantity On Hand","Image"
"T-1","Tee",19.9,"All / Saleable / Shirts",0.0,{I}/1.jpg
"""
EXPORTS: dict[str, tuple[str, dict[str, Any]]] = {
    "allegro": (
        ALLEGRO,
        {"display_name": "Koszula", "price": 49.9, "link": "https://s.example/1", "brand": "Ace"},
    ),
    "trendyol": (
        TRENDYOL,
        {"price": 199.9, "currency": "TRY", "group_id": "TEE", "base_colour": "Kırmızı"},  # noqa: RUF001
    ),
    "shoptet": (SHOPTET, {"group_id": "12", "price": 499.0, "base_colour": "Červená"}),
    "salla": (SALLA, {"display_name": "قميص", "price": 199.0, "article_type": "قمصان"}),
    "lightspeed": (LIGHTSPEED, {"display_name": "Tee", "currency": "USD", "season": "Summer"}),
    "cs-cart": (CS_CART, {"group_id": "TG", "article_type": "Tees", "price": 19.9}),
    "akeneo": (AKENEO, {"display_name": "Tee", "price": 19.9, "currency": "EUR"}),
    "fruugo": (FRUUGO, {"price": 19.9, "currency": "GBP", "base_colour": "Red"}),
    "walmart": (WALMART, {"link": "https://s.example/1", "group_id": "VG", "price": 19.9}),
    "odoo": (ODOO, {"master_category": "Saleable", "article_type": "Shirts"}),
}


def read(folder: Path, text: str) -> list[CheckedRow]:
    path = folder / "feed.csv"
    path.write_text(text.replace("\\\n", ""), encoding="utf-8")
    with closing(open_source(path)) as source:
        rows = list(read_rows(source, LastLines(source.skus())))
    return [row for row in rows if isinstance(row, CheckedRow)]


@pytest.mark.parametrize("name", EXPORTS)
def test_an_export_is_read_by_the_names_of_its_columns(tmp_path: Path, name: str) -> None:
    text, expected = EXPORTS[name]
    (row,) = read(tmp_path, text)
    values = row.draft.values
    assert row.sku == "T-1"
    assert {**values, **expected} == values
    assert values["in_stock"] is False
    assert row.has_image
