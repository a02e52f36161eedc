"""Cells that were lost or misread: words for nothing, dates, wrapped images, names of columns."""
# ruff: noqa: RUF001 - letters of other scripts

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from backend.catalogue.sources import open_source
from backend.catalogue.sources.availability import read_availability
from backend.catalogue.sources.feed import FeedRow, Reject
from backend.catalogue.sources.image_cells import split_images


def read(folder: Path, text: str) -> list[FeedRow | Reject]:
    path = folder / "feed.csv"
    path.write_bytes(text.encode())
    with closing(open_source(path)) as source:
        return list(source.read())


def fields(folder: Path, name: str, cell: str) -> tuple[dict[str, Any], tuple[str, ...]]:
    row = read(folder, f"sku;title;{name}\nA;Tee;{cell}\n")[0]
    assert isinstance(row, FeedRow)
    return dict(row.fields), row.warnings


@pytest.mark.parametrize("word", ["NULL", "\\N", "nan", "None", "n/a", "<NA>", "undefined", "-"])
def test_a_word_for_nothing_is_no_brand_and_no_colour(tmp_path: Path, word: str) -> None:
    for name, field in (("brand", "brand"), ("colour", "base_colour")):
        assert fields(tmp_path, name, word)[0][field] is None


@pytest.mark.parametrize("word", ["NULL", "nan", "n/a", "-", "undefined"])
def test_a_sku_that_is_a_word_for_nothing_has_a_warning(tmp_path: Path, word: str) -> None:
    (row,) = read(tmp_path, f"sku,title\n{word},Tee\n")
    assert isinstance(row, FeedRow)
    assert row.sku == word
    assert any("no value" in warning for warning in row.warnings)


@pytest.mark.parametrize("word", ["#REF!", "#N/A"])
def test_an_error_of_a_spreadsheet_is_no_sku(tmp_path: Path, word: str) -> None:
    (reject,) = read(tmp_path, f"sku,title\n{word},Tee\n")
    assert isinstance(reject, Reject)
    assert word in reject.reason


@pytest.mark.parametrize("error", ["#REF!", "#N/A", "#DIV/0!", "#BEZUG!"])
def test_an_error_of_a_spreadsheet_is_left_out_with_a_warning(tmp_path: Path, error: str) -> None:
    found, warnings = fields(tmp_path, "colour", error)
    assert "base_colour" not in found
    assert any(error in warning for warning in warnings)


@pytest.mark.parametrize("brand", ["Nan", "none", "NA", "Null & Co", "N-A"])
def test_a_brand_that_looks_like_nothing_stays(tmp_path: Path, brand: str) -> None:
    assert fields(tmp_path, "brand", brand)[0]["brand"] == brand


@pytest.mark.parametrize("cell", ["01.03.2024", "3/1/2024", "Spring 2024", "2024年", "12.2024"])
def test_a_year_is_found_in_a_date_and_in_words(tmp_path: Path, cell: str) -> None:
    assert fields(tmp_path, "year", cell)[0]["year"] == 2024


@pytest.mark.parametrize("cell", ["2023 or 2024", "2,024", "SS24", "2024.5"])
def test_what_is_not_one_year_is_left_out_with_a_warning(tmp_path: Path, cell: str) -> None:
    found, warnings = fields(tmp_path, "year", cell)
    assert "year" not in found
    assert any("not a year" in warning for warning in warnings)


def test_an_amount_in_parentheses_is_below_0(tmp_path: Path) -> None:
    found, warnings = fields(tmp_path, "price", "(5,00)")
    assert "price" not in found
    assert any("below 0" in warning for warning in warnings)


def test_columns_of_one_name_are_all_kept(tmp_path: Path) -> None:
    row = read(tmp_path, "sku,size,size,size,size_2,color,color\nA,S,M,L,x,Red,Blue\n")[0]
    assert isinstance(row, FeedRow)
    kept = {"size": "L", "size_1": "S", "size_3": "M", "size_2": "x", "color": "Blue"}
    assert row.fields["attributes"] == kept
    assert row.fields["base_colour"] == "Red"


@pytest.mark.parametrize("name", ["Jahr", "année", "model year"])
def test_a_year_has_names_in_further_languages(tmp_path: Path, name: str) -> None:
    assert fields(tmp_path, name, "2024")[0]["year"] == 2024


def test_a_note_behind_the_last_column_is_no_part_of_the_name(tmp_path: Path) -> None:
    first, second = read(tmp_path, "sku,name,price\nA,Tee,1,note\nB,Cap, red,2\n")
    assert isinstance(first, Reject)
    assert (first.sku, "4 values" in first.reason) == ("A", True)
    assert isinstance(second, FeedRow)
    assert (second.fields["display_name"], second.fields["price"]) == ("Cap, red", 2.0)


def test_a_price_in_an_unknown_shape_has_a_warning(tmp_path: Path) -> None:
    path = tmp_path / "feed.json"
    path.write_text(
        '[{"sku": "A", "price": {"points": 990}}, {"sku": "B", "price": {"value": null}}]'
    )
    with closing(open_source(path)) as source:
        first, second = (row for row in source.read() if isinstance(row, FeedRow))
    assert "price" not in first.fields
    assert any("points" in warning for warning in first.warnings)
    assert second.fields["price"] is None


ONE, TWO = "https://s.example/1.jpg", "https://s.example/2.jpg"


@pytest.mark.parametrize(
    "cell",
    [
        f"{ONE}~{TWO}",
        f"{ONE}&&{TWO}",
        f"{ONE}\\n{TWO}",
        f"{ONE}{TWO}",
        f"{{{ONE},{TWO}}}",
        f"[{ONE}, {TWO}]",
        f'<img src="{ONE}"><img src="{TWO}">',
        f"![a]({ONE}) ![b]({TWO})",
        f'{{"0": "{ONE}", "1": "{TWO}"}}',
        f'{{"large": "{ONE}", "small": "{TWO}", "alt": "Tee"}}',
    ],
)
def test_both_images_of_a_cell_are_found(cell: str) -> None:
    assert split_images(cell) == [ONE, TWO]


@pytest.mark.parametrize(
    "cell",
    [
        "https://cdn.example/fetch/https://s.example/1.jpg",
        "https://cdn.example/?url=https://s.example/1.jpg&w=3",
        "https://s.example/~anna/1.jpg",
        "img/a~b.jpg",
    ],
)
def test_the_name_of_one_image_is_not_divided(cell: str) -> None:
    assert split_images(cell) == [cell]


@pytest.mark.parametrize("cell", [f'=IMAGE("{ONE}")', f'=HYPERLINK("{ONE}";"Tee")'])
def test_a_formula_names_its_image(cell: str) -> None:
    assert split_images(cell) == [ONE]


@pytest.mark.parametrize(
    ("name", "currency"),
    [
        ("price_eur", "EUR"),
        ("Price EUR", "EUR"),
        ("priceUSD", "USD"),
        ("Price (GBP)", "GBP"),
        ("Preis in CHF", "CHF"),
        ("EUR price", "EUR"),
        ("Preis €", "EUR"),
        ("Cena PLN", "PLN"),
    ],
)
def test_the_name_of_a_column_says_the_currency(tmp_path: Path, name: str, currency: str) -> None:
    found, _ = fields(tmp_path, name, "9,90")
    assert (found["price"], found["currency"]) == (9.9, currency)
    assert fields(tmp_path, name, "9,90 SEK")[0]["currency"] == "SEK"


@pytest.mark.parametrize("name", ["top price", "price all", "price_group", "price eur usd"])
def test_a_word_that_is_also_a_code_is_no_currency(tmp_path: Path, name: str) -> None:
    found, _ = fields(tmp_path, name, "9,90")
    assert found.get("currency") is None


@pytest.mark.parametrize(
    "header",
    [
        "Varenr;Navn;Pris;Farve;Billede;Lager",
        "Cod produs;Denumire;Preț;Culoare;Imagine;Stoc",
        "Κωδικός;Όνομα;Τιμή;Χρώμα;Εικόνα;Απόθεμα",
        "Код;Име;Цена;Цвят;Снимка;Наличност",
        "Код товару;Назва;Ціна;Колір;Фото;Наявність",
        "Šifra;Naziv;Cijena;Boja;Slika;Zaliha",
        "Kodas;Pavadinimas;Kaina;Spalva;Nuotrauka;Likutis",
        "Mã sản phẩm;Tên sản phẩm;Giá;Màu sắc;Hình ảnh;Tồn kho",
        "رمز المنتج;اسم المنتج;السعر;اللون;الصورة;المخزون",
        "מק״ט;שם;מחיר;צבע;תמונה;מלאי",
    ],
)
def test_a_header_in_another_language_names_all_fields(tmp_path: Path, header: str) -> None:
    row = read(tmp_path, f"{header}\nA;Tee;9,90;Red;{ONE};0\n")[0]
    assert isinstance(row, FeedRow)
    names = ("display_name", "price", "base_colour", "image_uri", "in_stock")
    assert [row.fields.get(name) for name in names] == ["Tee", 9.9, "Red", ONE, False]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("tilgjengelig", True),
        ("ikke tilgjengelig", False),
        ("saatavilla", True),
        ("na zalogi", True),
        ("ni na zalogi", False),
        ("na stanju", True),
        ("nema na stanju", False),
        ("laos", True),
        ("otsas", False),
        ("yra", True),
        ("nėra", False),
        ("pe stoc", True),
        ("nu este pe stoc", False),
        ("موجود", True),
        ("غير موجود", False),
    ],
)
def test_a_word_for_the_stock_is_read_in_further_languages(text: str, found: bool) -> None:
    assert read_availability(text) is found
