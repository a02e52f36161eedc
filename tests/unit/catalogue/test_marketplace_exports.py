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
ZALANDO = f"""merchant_product_model_id;merchant_product_simple_id;ean;product_name;brand_name;\
target_genders;season_code;regular_price;stock;media.1;media.2
M1;T-1;4006;Tee;Ace;MALE;SS24;19.90;0;{I}/1.jpg;{I}/2.jpg
"""
LOYVERSE = f"""Handle,SKU,Name,Category,Option 1 name,Option 1 value,Price [Main],In stock [Main],\
In stock [Store],Image
tee,T-1,Tee,Tees,Color,Red,19.90,0,0,{I}/1.jpg
"""
DYNAMICS = f"""Item No.,Description,Unit Price,Inventory,Item Category Code,Blocked,Picture
T-1,Tee,19.90,4,TEES,Yes,{I}/1.jpg
"""
UNAS = f"""Cikkszám;Termék Név;Bruttó Ár;Raktárkészlet;Kategória;Kép link;Gyártó;Pénznem
T-1;Póló;4990;0;Ruházat > Pólók;{I}/1.jpg;Ace;HUF
"""
DAISYCON = f"""title,brand,price,currency,link,image_large,category_path,sku,in_stock,\
color_primary,gender_target
Tee,Ace,19.90,EUR,https://s.example/1,{I}/1.jpg,Mode > Tees,T-1,false,Red,female
"""
TROVAPREZZI = f"""Nome prodotto|Marca|Prezzo|Codice Interno|Link all'offerta|Disponibilità|\
Link immagine
Maglia|Ace|19,90|T-1|https://s.example/1|non disponibile|{I}/1.jpg
"""
BILLIGER = f"""aid;name;price;link;shop_cat;brand;ean;image;stock
T-1;Hemd;19.90;https://s.example/1;Mode > Hemden;Ace;4006;{I}/1.jpg;0
"""
PIMCORE = f"""id;published;sku;name#en;name#de;price;manufacturer;images
12;0;T-1;Tee;Hemd;19.90;Ace;{I}/1.jpg
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
    "zalando": (ZALANDO, {"group_id": "M1", "season": "SS24", "price": 19.9}),
    "loyverse": (LOYVERSE, {"price": 19.9, "base_colour": "Red"}),
    "dynamics": (DYNAMICS, {"display_name": "Tee", "article_type": "TEES"}),
    "unas": (UNAS, {"price": 4990.0, "currency": "HUF", "brand": "Ace"}),
    "daisycon": (DAISYCON, {"base_colour": "Red", "gender": "female"}),
    "trovaprezzi": (TROVAPREZZI, {"link": "https://s.example/1", "brand": "Ace"}),
    "billiger": (BILLIGER, {"article_type": "Hemden", "price": 19.9}),
    "pimcore": (PIMCORE, {"display_name": "Tee", "brand": "Ace"}),
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
