"""Exports that were sorted, translated, escaped or extended before they came here."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from backend.catalogue.import_memory import LastLines
from backend.catalogue.import_rows import CheckedRow, read_rows
from backend.catalogue.sources import magento, open_source
from backend.catalogue.sources.feed import WarningKind, kind_of

WOO_GERMAN = """ID,Typ,Artikelnummer,Name,Vorrätig?,Lager,Regulärer Preis,Kategorien,\
Bilder,Übergeordnetes Produkt,Marken,Attribut 1 Name,Attribut 1 Wert(e)
1,variable,COAT,Mantel,1,,,Mode > Mäntel,"https://c/1.jpg, https://c/2.jpg",,Ace,Farbe,"Rot, Blau"
2,variation,COAT-R,Mantel rot,0,0,"1.299,00",,,COAT,,Farbe,Rot
"""
WOO_FRENCH = """ID,Type,UGS,Nom,En stock ?,Stock,Tarif régulier,Catégories,Images,Parent,Marques,\
Nom de l’attribut 1,Valeur(s) de l’attribut 1
1,variable,COAT,Mantel,1,,,Mode > Mäntel,"https://c/1.jpg, https://c/2.jpg",,Ace,Couleur,"Rot, Blau"
2,variation,COAT-R,Mantel rot,0,0,"1299,00",,,COAT,,Couleur,Rot
"""  # noqa: RUF001 - as WooCommerce writes it
WOO_SPANISH = """ID,Tipo,SKU,Nombre,¿En inventario?,Inventario,Precio normal,Categorías,Imágenes,\
Superior,Marcas,Nombre del atributo 1,Valor(es) del atributo 1
1,variable,COAT,Mantel,1,,,Mode > Mäntel,"https://c/1.jpg, https://c/2.jpg",,Ace,Color,"Rot, Blau"
2,variation,COAT-R,Mantel rot,0,0,"1299,00",,,COAT,,Color,Rot
"""
WOO_ITALIAN = """ID,Tipo,COD,Nome,In stock?,Magazzino,Prezzo di listino,Categorie,Immagine,\
Genitore,Marchi,Attributo 1 nome,Attributo 1 valuta(e)
1,variable,COAT,Mantel,1,,,Mode > Mäntel,"https://c/1.jpg, https://c/2.jpg",,Ace,Colore,"Rot, Blau"
2,variation,COAT-R,Mantel rot,0,0,"1299,00",,,COAT,,Colore,Rot
"""
SHOPIFY = """Handle,Title,Vendor,Variant SKU,Variant Inventory Tracker,Variant Inventory Qty,\
Variant Price,Image Src,Image Position
tee,,,TEE-M,shopify,0,9,https://c/2.jpg,2
cap,Cap,Ace,,,0,5,https://c/cap.jpg,1
tee,Tee,Ace,TEE-S,shopify,3,9,https://c/1.jpg,1
cap,,,,,,,https://c/cap-back.jpg,2
"""
MAGENTO = """sku,store_view_code,product_type,name,price,base_image,is_in_stock,\
additional_attributes
S,,simple,Shirt,19.9,https://c/s.jpg,1,color=Red
S,de,,Hemd,,,,color=Rot
S,fr,,Chemise,21,,,
T,de,simple,Kleid,9,https://c/t.jpg,0,
"""


def read(folder: Path, text: str, name: str = "export.csv") -> dict[str, CheckedRow]:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    with closing(open_source(path)) as source:
        rows = list(read_rows(source, LastLines(source.skus())))
    return {row.sku: row for row in rows if isinstance(row, CheckedRow)}


def images(row: CheckedRow) -> list[str]:
    """Return the ends of a row's images, in order."""
    first = row.image or (row.draft.image and row.draft.image.uri)
    found = [it if isinstance(it, str) else it and it.uri for it in (first, *(row.further or ()))]
    return [(uri or "").rpartition("/")[2] for uri in found if uri]


@pytest.mark.parametrize(
    "text",
    [WOO_GERMAN, WOO_FRENCH, WOO_SPANISH, WOO_ITALIAN],
    ids=["german", "french", "spanish", "italian"],
)
def test_woocommerce_in_another_language_is_read_as_in_english(tmp_path: Path, text: str) -> None:
    rows = read(tmp_path, text)
    parent, child = rows["COAT"].draft.values, rows["COAT-R"].draft.values
    expected = {"master_category": "Mode", "article_type": "Mäntel", "brand": "Ace"}
    for values in (parent, child):
        assert values | expected | {"group_id": "COAT"} == values
    assert (parent["display_name"], parent["in_stock"]) == ("Mantel", True)
    assert (child["price"], child["in_stock"], child["base_colour"]) == (1299, False, "Rot")
    assert images(rows["COAT"]) == images(rows["COAT-R"]) == ["1.jpg", "2.jpg"]


def test_what_woocommerce_escapes_is_read_as_it_was(tmp_path: Path) -> None:
    header = "ID,SKU,Name,In stock?,Regular price,Categories,Images\n"
    row = """1,'-A1,"'=50% off",1,9,"Tops\\, Shirts > Polo, Sale","https://c/a\\,b.jpg, https://c/2.jpg"\n"""
    row = read(tmp_path, header + row)["-A1"]
    values = row.draft.values
    assert values["display_name"] == "=50% off"
    assert (values["master_category"], values["article_type"]) == ("Tops, Shirts", "Polo")
    assert images(row) == ["a,b.jpg", "2.jpg"]


def test_shopify_rows_that_were_sorted_apart_are_one_product(tmp_path: Path) -> None:
    rows = read(tmp_path, SHOPIFY)
    assert set(rows) == {"TEE-S", "TEE-M", "cap"}
    for sku in ("TEE-S", "TEE-M"):
        values = rows[sku].draft.values
        assert (values["display_name"], values["brand"], values["group_id"]) == (
            "Tee",
            "Ace",
            "tee",
        )
    assert images(rows["TEE-S"]) == ["1.jpg", "2.jpg"]
    assert images(rows["TEE-M"]) == ["2.jpg", "1.jpg"]
    assert images(rows["cap"]) == ["cap.jpg", "cap-back.jpg"]


def test_shopify_stock_that_nothing_tracks_is_not_sold_out(tmp_path: Path) -> None:
    rows = read(tmp_path, SHOPIFY)
    assert rows["TEE-M"].draft.values["in_stock"] is False
    assert rows["TEE-S"].draft.values["in_stock"] is True
    assert "in_stock" not in rows["cap"].draft.values


DRAFTS = {
    "shopify": (
        "Handle,Title,Variant SKU,Variant Price,Image Src,Status,Published",
        ["a,A,A,9,,draft,TRUE", "b,B,B,9,,active,FALSE", "c,C,C,9,,active,TRUE", "c,,C2,9,,,"],
    ),
    "woocommerce": (
        "ID,Type,UGS,Nom,Publié,En stock ?,Tarif régulier,Images",
        ["1,simple,A,A,-1,1,9,", "2,simple,B,B,0,1,9,", "3,simple,C,C,1,1,9,", "4,,C2,C,1,,9,"],
    ),
    "magento": (
        "sku,product_type,name,price,base_image,is_in_stock,product_online,status",
        ["A,simple,A,9,,1,2,", "B,simple,B,9,,1,1,Disabled", "C,simple,C,9,,1,1,", "C2,,C,9,,,1,1"],
    ),
    "meta": (
        "id,title,price,availability,fb_product_category,visibility",
        ["A,A,9,in stock,x,hidden", "B,B,9,in stock,x,Staging", "C,C,9,in stock,x,published",
         "C2,C,9,in stock,x,"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("platform", DRAFTS)
def test_what_a_platform_does_not_show_is_not_in_stock(tmp_path: Path, platform: str) -> None:
    header, lines = DRAFTS[platform]
    rows = read(tmp_path, "\n".join([header, *lines, ""]))
    found = {sku: row.draft.values["in_stock"] for sku, row in rows.items()}
    assert found == {"A": False, "B": False, "C": True, "C2": True}
    kinds = {sku: {kind_of(warning) for _, warning in row.warnings} for sku, row in rows.items()}
    hidden = {sku for sku, found in kinds.items() if WarningKind.UNPUBLISHED in found}
    assert hidden == {"A", "B"}


def test_a_published_product_whose_stock_is_unclear_keeps_what_it_had(tmp_path: Path) -> None:
    header = "sku,product_type,name,price,base_image,is_in_stock,product_online"
    row = read(tmp_path, f"{header}\nA,simple,A,9,,perhaps,1\n")["A"]
    assert "in_stock" not in row.draft.values


def test_a_configurable_product_of_magento_is_the_group_of_its_variants(tmp_path: Path) -> None:
    text = (
        "sku,product_type,name,price,base_image,configurable_variations,"
        "configurable_variation_labels\n"
        "TEE-S,simple,Tee S,9,,,\nTEE-M,simple,Tee M,9,,,\nCAP,simple,Cap,5,,,\n"
        'TEE,configurable,Tee,,,"sku=TEE-S,size=S,color=Red|sku=TEE-M,size=M,color=Red","size=Size"\n'
        "TEE-L,simple,Tee L,9,,,\n"
    )
    rows = read(tmp_path, text)
    groups = {sku: row.draft.values["group_id"] for sku, row in rows.items()}
    assert groups == {"TEE-S": "TEE", "TEE-M": "TEE", "CAP": None, "TEE": "TEE", "TEE-L": None}
    assert "configurable_group" not in rows["TEE"].draft.values["attributes"]


def test_a_variant_that_stands_too_far_above_its_product_has_no_group(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(magento, "MOST_HELD", 1)
    text = (
        "sku,product_type,name,price,base_image,configurable_variations\n"
        "FAR,simple,A,9,,\nNEAR,simple,B,9,,\nP,configurable,P,,,sku=FAR|sku=NEAR|sku=BELOW\n"
        "BELOW,simple,C,9,,\n"
    )
    groups = {sku: row.draft.values["group_id"] for sku, row in read(tmp_path, text).items()}
    assert groups == {"FAR": None, "NEAR": "P", "P": "P", "BELOW": "P"}


def test_a_store_view_of_magento_does_not_replace_what_all_of_them_share(tmp_path: Path) -> None:
    rows = read(tmp_path, MAGENTO)
    shirt, dress = rows["S"].draft.values, rows["T"].draft.values
    assert (shirt["display_name"], shirt["price"], shirt["base_colour"]) == ("Shirt", 19.9, "Red")
    assert "store_view_code" not in {k for k, v in shirt["attributes"].items() if v is not None}
    assert (dress["display_name"], dress["in_stock"]) == ("Kleid", False)
    assert images(rows["S"]) == ["s.jpg"]


def test_googles_prefix_may_stand_before_the_columns_of_a_table(tmp_path: Path) -> None:
    text = (
        "g:id,g:title,g:image_link,g:price,g:availability\nA,T,https://c/1.jpg,9 EUR,out of stock\n"
    )
    values = read(tmp_path, text)["A"].draft.values
    assert (values["display_name"], values["price"], values["in_stock"]) == ("T", 9, False)


@pytest.mark.parametrize(
    "header",
    [
        "sku,image1,image2,image3",
        "sku,image_url,image_url_2,additional_image_1",
        "id,image_link,image[0].url,image[1].url",
        "sku,Picture 1,Picture 2,Picture 3",
        "sku,image,images,additional_images",
    ],
)
def test_numbered_columns_of_images_are_images_in_order(tmp_path: Path, header: str) -> None:
    text = f"{header}\nA,https://c/1.jpg,https://c/2.jpg,https://c/3.jpg\n"
    row = read(tmp_path, text)["A"]
    assert images(row) == ["1.jpg", "2.jpg", "3.jpg"]
    assert not row.draft.values.get("attributes")


@pytest.mark.parametrize(
    ("cell", "found"),
    [
        ("a.jpg\nb.jpg", ["a.jpg", "b.jpg"]),
        ("['a.jpg', 'b.jpg']", ["a.jpg", "b.jpg"]),
        ("[{'url': 'https://c/1.jpg'}]", ["1.jpg"]),
        ("a.jpg?v=12", ["a.jpg"]),
        ("a.jpg,,b.jpg;", ["a.jpg", "b.jpg"]),
    ],
)
def test_a_cell_of_images_is_divided_as_shops_write_it(
    tmp_path: Path, cell: str, found: list[str]
) -> None:
    for name in ("a.jpg", "b.jpg"):
        (tmp_path / name).write_bytes(b"image")
    row = read(tmp_path, f'sku,image\nA,"{cell}"\n')["A"]
    assert images(row) == found
    assert not row.warnings


def test_a_damaged_image_within_a_cell_of_text_is_one_short_warning(tmp_path: Path) -> None:
    row = read(tmp_path, f'sku,image\nA,"data:image/png;base64,{"A" * 5_001}"\n')["A"]
    ((_, warning),) = row.warnings
    assert "its Base64 is wrong" in warning
    assert len(warning) < 300


def test_a_sku_that_a_spreadsheet_was_kept_from_changing_is_read_bare(tmp_path: Path) -> None:
    assert set(read(tmp_path, 'sku;name\n="00123";A\n"=""00124""";="B"\n')) == {"00123", "00124"}


@pytest.mark.parametrize("sku", ["1,23E+12", "4E+12", "1.5e+07"])
def test_a_number_that_a_spreadsheet_shortened_is_said(tmp_path: Path, sku: str) -> None:
    warnings = [text for _, text in read(tmp_path, f"sku;name\n{sku};A\n")[sku].warnings]
    assert any("probably a number that a spreadsheet has shortened" in text for text in warnings)


def test_the_quote_before_a_sku_of_shopify_is_no_part_of_it(tmp_path: Path) -> None:
    rows = read(
        tmp_path, "Handle,Title,Variant SKU,Variant Price\ncap,Cap,'00123,5\nhat,Hat,'A,5\n"
    )
    assert sorted(rows) == ["'A", "00123"]


MAGENTO_1 = """sku,_attribute_set,_type,_category,color,manufacturer,name,price,status,image,\
_media_image,qty,is_in_stock
S,Default,simple,Men/Shirts,Red,Ace,Shirt,19.9000,1,https://c/1.jpg,https://c/1.jpg,5.0000,1
,,,Sale,,,,,,,https://c/2.jpg,,
,,,,,,,,,,https://c/3.jpg,,
T,Default,simple,Men/Shirts,Blue,Ace,Tee,29.9000,2,no_selection,,0.0000,0
"""


def test_rows_without_a_sku_of_magento_1_belong_to_the_product_above(tmp_path: Path) -> None:
    (tmp_path / "export.csv").write_text(MAGENTO_1, encoding="utf-8")
    with closing(open_source(tmp_path / "export.csv")) as source:
        shirt, tee = read_rows(source, LastLines(source.skus()))
    assert isinstance(shirt, CheckedRow)
    assert isinstance(tee, CheckedRow)
    values = shirt.draft.values
    assert (values["price"], values["base_colour"], values["in_stock"]) == (19.9, "Red", True)
    assert (values["master_category"], values["article_type"]) == ("Men", "Shirts")
    assert images(shirt) == ["1.jpg", "2.jpg", "3.jpg"]
    assert (tee.sku, tee.draft.values["in_stock"]) == ("T", False)
