"""Several prices of a product, and prices that stand in no usual column."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from backend.catalogue.sources import open_source
from backend.catalogue.sources.feed import FeedRow


def rows(folder: Path, name: str, text: str) -> list[FeedRow]:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    with closing(open_source(path)) as source:
        return [row for row in source.read() if isinstance(row, FeedRow)]


def priced(folder: Path, name: str, text: str) -> list[tuple[float | None, str | None]]:
    return [(it.fields.get("price"), it.fields.get("currency")) for it in rows(folder, name, text)]


EUR, USD = {"currency": "EUR", "amount": "19.90"}, {"currency": "USD", "amount": "22.00"}


@pytest.mark.parametrize(
    ("prices", "found"),
    [
        ([EUR, USD], (19.9, "EUR")),
        ({"EUR": 19.9, "USD": 22}, (19.9, "EUR")),
        ([{"currency_code": "eur", "amount": 19.9}], (19.9, "EUR")),
        ([{"price": "19.90", "currency": {"code": "EUR"}}], (19.9, "EUR")),
        ([{"currency_code": "eur", "amount": 1990, "region_id": None}], (19.9, "EUR")),
        ([{"currency_code": "jpy", "amount": 1990, "variant_id": "v"}], (1990.0, "JPY")),
        ([{**EUR, "amount": 15, "min_quantity": 10}, EUR], (19.9, "EUR")),
        ([{**EUR, "amount": 15, "price_list_id": "sale"}, EUR], (19.9, "EUR")),
        ([{"value": {"centAmount": 1990, "currencyCode": "EUR"}}], (19.9, "EUR")),
        ([{"currency_code": "eur", "amount": 1990}], (None, None)),
        ([{"currency_code": "eur", "amount": 20, "raw_amount": {"value": "20"}}], (20.0, "EUR")),
        ([], (None, None)),
    ],
)
def test_one_price_of_a_list_counts(
    tmp_path: Path, prices: Any, found: tuple[float | None, str | None]
) -> None:
    line = json.dumps({"sku": "A", "prices": prices})
    assert priced(tmp_path, "a.jsonl", f"{line}\n{line}\n") == [found, found]


def test_all_products_have_the_money_of_the_first_if_they_can(tmp_path: Path) -> None:
    lists = [[USD, EUR], [EUR, USD], [EUR]]
    lines = [json.dumps({"sku": str(at), "prices": it}) for at, it in enumerate(lists)]
    found = priced(tmp_path, "a.jsonl", "\n".join(lines))
    assert found == [(22.0, "USD"), (22.0, "USD"), (19.9, "EUR")]


def test_the_currency_of_the_product_decides_and_all_prices_stay(tmp_path: Path) -> None:
    (row,) = rows(
        tmp_path, "a.jsonl", json.dumps({"sku": "A", "currency": "usd", "prices": [EUR, USD]})
    )
    assert (row.fields["price"], row.fields["currency"]) == (22.0, "USD")
    assert json.loads(row.fields["attributes"]["prices"]) == [EUR, USD]


def test_a_cell_may_hold_several_prices(tmp_path: Path) -> None:
    cells = ["19,90 EUR | 22,00 USD", "22,00 USD | 19,90 EUR", "19,90 EUR | 18,90 EUR"]
    lines = [f"{at};{cell}" for at, cell in enumerate(cells)]
    lines.append('9;"[{""currency"": ""EUR"", ""amount"": 19.9}]"')
    found = rows(tmp_path, "a.csv", "sku;prices\n" + "\n".join(lines) + "\n")
    assert [it.fields.get("price") for it in found] == [19.9, 19.9, None, 19.9]
    assert "price: of '19,90 EUR | 22,00 USD', that in EUR counts" in found[0].warnings


MEDUSA: dict[str, Any] = {
    "products": [
        {
            "title": "Tee",
            "handle": "tee",
            "options": [{"id": "o", "title": "Color"}],
            "variants": [
                {
                    "sku": "T-1",
                    "calculated_price": {
                        "calculated_amount": 15,
                        "original_amount": 19.9,
                        "currency_code": "eur",
                    },
                    "options": [{"value": "Black", "option_id": "o"}],
                },
                {
                    "sku": "T-2",
                    "calculated_price": {"original_amount": 21, "currency_code": "eur"},
                    "options": [{"value": "Red", "option": {"title": "Color"}}],
                },
            ],
        }
    ]
}


def test_variants_of_medusa_have_price_and_colour(tmp_path: Path) -> None:
    found = rows(tmp_path, "a.json", json.dumps(MEDUSA))
    names = ("price", "currency", "base_colour", "group_id")
    assert [tuple(it.fields.get(name) for name in names) for it in found] == [
        (19.9, "EUR", "Black", "tee"),
        (21.0, "EUR", "Red", "tee"),
    ]


@pytest.mark.parametrize("prefix", ["", "Variant "])
def test_the_csv_of_medusa_is_recognised(tmp_path: Path, prefix: str) -> None:
    header = (
        f"Product Id;Product Handle;Product Title;Product Status;Variant SKU;{prefix}Price EUR;"
        f"{prefix}Price USD;{prefix}Option 1 Name;{prefix}Option 1 Value;Variant Inventory Quantity"
    )
    row = "p;tee;Tee;{};T-{};19.5;22;Color;Red;3"
    text = "\n".join([header, row.format("published", 1), row.format("draft", 2), ""])
    first, second = rows(tmp_path, "a.csv", text)
    assert first.fields["attributes"][f"{prefix}Price USD"] == "22"
    assert {
        name: first.fields[name]
        for name in ("display_name", "price", "currency", "base_colour", "group_id", "in_stock")
    } == {
        "display_name": "Tee",
        "price": 19.5,
        "currency": "EUR",
        "base_colour": "Red",
        "group_id": "tee",
        "in_stock": True,
    }
    assert second.fields["in_stock"] is False


@pytest.mark.parametrize(
    ("header", "row", "price"),
    [
        ("sku,sale_price", "A,19.90", 19.9),
        ("sku,special_price,price_eur", "A,19.90,29.90", 29.9),
        ("sku,sale_price,product_price", "A,19.90,29.90", 29.9),
        ("sku,sale_price,price_in_cents", "A,19.90,2990", 29.9),
        ("sku,was_price,now_price", "A,29.90,19.90", 19.9),
    ],
)
def test_a_reduced_price_is_the_price_only_where_there_is_no_other(
    tmp_path: Path, header: str, row: str, price: float
) -> None:
    assert priced(tmp_path, "a.csv", f"{header}\n{row}\n")[0][0] == price


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("from £19.99 to £29.99", (19.99, "GBP")),
        ("ca. 19,90 €", (19.9, "EUR")),
        ("nur 19,90 €", (19.9, "EUR")),
        ("only $19.90", (19.9, "USD")),
        ("fr. 299 kr", (299.0, None)),
        ("Fr. 299.-", (299.0, "CHF")),
        ("CA$ 19.90", (19.9, "CAD")),
    ],
)
def test_words_around_a_price(tmp_path: Path, text: str, found: tuple[float, str | None]) -> None:
    assert priced(tmp_path, "a.tsv", f"sku\tprice\nA\t{text}\n") == [found]
