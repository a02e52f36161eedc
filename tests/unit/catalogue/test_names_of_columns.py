"""Names of columns: languages, prefixes, taxes, networks; cells that list, and odd skus."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from backend.catalogue.import_memory import LastLines
from backend.catalogue.import_rows import CheckedRow, read_rows
from backend.catalogue.sources import open_source
from backend.catalogue.sources.availability import read_availability
from backend.catalogue.sources.field_readers import read_text
from backend.catalogue.sources.money import read_price


def read(folder: Path, text: str) -> list[CheckedRow]:
    path = folder / "feed.csv"
    path.write_text(text, encoding="utf-8")
    with closing(open_source(path)) as source:
        rows = list(read_rows(source, LastLines(source.skus())))
    return [row for row in rows if isinstance(row, CheckedRow)]


@pytest.mark.parametrize("name", ["name-en_US", "name_de", "title[fr]", "name:en", "name-en-web"])
def test_a_name_with_its_language_is_the_name(tmp_path: Path, name: str) -> None:
    (row,) = read(tmp_path, f"sku,{name},name-xx\nA1,Tee,no\n")
    assert row.draft.values["display_name"] == "Tee"


def test_a_name_without_a_language_counts_more_and_then_the_first_language(tmp_path: Path) -> None:
    (row,) = read(tmp_path, "sku,name_de,name\nA1,Hemd,Tee\n")
    assert row.draft.values["display_name"] == "Tee"
    (row,) = read(tmp_path, "sku,name_de,name_en\nA1,Hemd,Tee\n")
    assert row.draft.values["display_name"] == "Hemd"


def test_of_two_prices_that_with_tax_counts(tmp_path: Path) -> None:
    (row,) = read(tmp_path, "sku,Price (tax excl.),Price (tax incl.)\nA1,10.00,12.00\n")
    assert row.draft.values["price"] == 12.0
    (row,) = read(tmp_path, "sku,Price (tax excl.)\nA1,10.00\n")
    assert row.draft.values["price"] == 10.0


def test_ecwids_names_with_a_prefix_are_found(tmp_path: Path) -> None:
    header = "type,product_sku,product_price,product_quantity,product_brand,product_category_1"
    (row,) = read(tmp_path, f"{header}\nproduct,E1,19.9,0,Ace,Clothing / Tees\n")
    expected = {"price": 19.9, "in_stock": False, "brand": "Ace", "article_type": "Tees"}
    assert row.draft.values | expected == row.draft.values


def test_a_feed_of_a_network_of_affiliates_is_read(tmp_path: Path) -> None:
    header = (
        "aw_deep_link,product_name,aw_product_id,merchant_product_id,merchant_image_url,"
        "search_price,currency,merchant_deep_link,in_stock"
    )
    (row,) = read(
        tmp_path,
        f"{header}\nhttps://a.example/c,Tee,1,T1,https://s.example/1.jpg,19.90,GBP,"
        "https://s.example/p,1\n",
    )
    assert row.sku == "T1"
    expected = {"price": 19.9, "currency": "GBP", "link": "https://s.example/p"}
    assert row.draft.values | expected == row.draft.values
    assert row.has_image


@pytest.mark.parametrize(
    ("name", "cell"),
    [("status", "Inactive"), ("enabled", "0"), ("visible", "No"), ("active", "false")],
)
def test_a_product_that_is_switched_off_is_not_in_stock(
    tmp_path: Path, name: str, cell: str
) -> None:
    (row,) = read(tmp_path, f"sku,name,{name}\nA1,Tee,{cell}\n")
    assert row.draft.values["in_stock"] is False
    assert any("not published" in text for _, text in row.warnings)


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        ('["Men","Shirts"]', "Men"),
        ("['Men', 'Shirts']", "Men"),
        ('["Men","Men > Shirts"]', "Men > Shirts"),
        ("{red,blue}", "red"),
        ('{"dark red",blue}', '{"dark red",blue}'),
        ('{"dark red","blue"}', "dark red"),
        ("[]", None),
        ("[Sale] Tee", "[Sale] Tee"),
        ("[Sale]", "[Sale]"),
        ("[1, 2]", "[1, 2]"),
        ("{a: b}", "{a: b}"),
    ],
)
def test_a_cell_that_lists_texts_gives_the_first_or_the_deepest_path(
    cell: str, text: str | None
) -> None:
    assert read_text(cell) == text


def test_a_sku_with_decimals_of_a_program_has_a_warning(tmp_path: Path) -> None:
    (row, other) = read(tmp_path, "sku,name\n12345.0,Tee\nV2.0,Cap\n")
    assert row.sku == "12345.0"
    assert any("with decimals" in text for _, text in row.warnings)
    assert not any("with decimals" in text for _, text in other.warnings)


@pytest.mark.parametrize(("text", "amount"), [("19€90", "19.90"), ("1299 € 00", "1299.00")])
def test_a_currency_in_place_of_the_point(text: str, amount: str) -> None:
    price = read_price(text)
    assert (f"{price.amount:.2f}", price.currency) == (amount, "EUR")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Nur noch 2 auf Lager", True),
        ("In stock (ships 24h)", True),
        ("10-50", True),
        ("Dostawa w 24h", True),
        ("有库存", True),
        ("Άμεση παραλαβή / Παράδοση σε 1 έως 3 ημέρες", True),
        ("Derniers articles", True),
        ("无库存", False),
        ("品切れ", False),
        ("nachbestellt", False),
        ("Restnoterad", False),
        ("special order", False),
    ],
)
def test_words_for_stock_of_further_shops(text: str, expected: bool) -> None:
    assert read_availability(text) is expected


@pytest.mark.parametrize("text", ["0-5", "green", "A", "Warehouse"])
def test_words_that_do_not_say_it_are_not_guessed(text: str) -> None:
    with pytest.raises(ValueError, match="does not say"):
        read_availability(text)
