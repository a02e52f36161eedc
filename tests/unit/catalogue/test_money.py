"""Prices are read as people write them, and never by a guess that is not said."""

from __future__ import annotations

from decimal import Decimal

import pytest

from backend.catalogue.sources.money import PriceColumn, is_ambiguous, read_price


@pytest.mark.parametrize(
    ("text", "amount", "currency"),
    [
        ("1299.50", "1299.50", None),
        ("24,95", "24.95", None),
        ("1.299,00", "1299", None),
        ("1,299.00 USD", "1299", "USD"),
        ("EUR 12.50", "12.50", "EUR"),
        ("€ 5", "5", "EUR"),
        ("5€", "5", "EUR"),
        ("CHF 1'299.–", "1299", "CHF"),  # noqa: RUF001
        ("1 299,00 €", "1299", "EUR"),
        ("1\N{NO-BREAK SPACE}299,00\N{NO-BREAK SPACE}zł", "1299", "PLN"),
        ("1\N{NARROW NO-BREAK SPACE}299 kr", "1299", None),
        ("1\N{RIGHT SINGLE QUOTATION MARK}299.05", "1299.05", None),
        ("Rs. 1,23,456.00", "123456", "INR"),
        ("2.345.678", "2345678", None),
        ("19.-", "19", None),
        ("0", "0", None),
        ("0.999", "0.999", None),
        ("$12.00 USD", "12", "USD"),
        ("$12.00 CAD", "12", "CAD"),
        ("12,00 $ CA", "12", "CAD"),
        ("US $12.00", "12", "USD"),
        ("€12.00 EUR", "12", "EUR"),
        ("Rs.1299", "1299", "INR"),
        ("S/. 39.90", "39.90", "PEN"),
        ("R 199,99", "199.99", "ZAR"),
        ("199 грн.", "199", "UAH"),
        ("99:-", "99", None),
        ("39,90 €*", "39.90", "EUR"),
        ("5,00 &euro;", "5", "EUR"),
        ("'12.50", "12.50", None),
        ("￥1280", "1280", "JPY"),
        ("Rp 150.000", "150000", "IDR"),
        ("1.299 Ft", "1299", "HUF"),
        ("1.299,-", "1299", None),
        ("kr 1.299,-", "1299", None),
        ("1,299.- CHF", "1299", "CHF"),
        ("12.50,-", "12.50", None),
        ("29,99 € inkl. 19 % MwSt.", "29.99", "EUR"),
        ("29.99 TTC", "29.99", None),
        ("UVP: 29,99", "29.99", None),
        ("19.99 €/Stück", "19.99", "EUR"),
        ("$29.99 each", "29.99", "USD"),
        ("29.99 (EUR)", "29.99", "EUR"),
        ("CAD$29.99", "29.99", "CAD"),
        ("29.99 $CAD", "29.99", "CAD"),
        ("Rs. 1,299/-", "1299", "INR"),
        ("99 :-", "99", None),
        ("5.000.000 đ", "5000000", "VND"),
    ],
)
def test_a_price_is_read_with_its_currency(text: str, amount: str, currency: str | None) -> None:
    price = read_price(text)
    assert (price.amount, price.currency) == (Decimal(amount), currency)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "-5",
        "€ -5",
        "NaN",
        "inf",
        "1.2.3",
        "1.299.00",
        "10-20",
        "from 5",
        "5 pcs",
        "5 EUR USD",
        "€5 USD CHF",
    ],
)
def test_what_is_not_one_price_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not a price|is below 0"):
        read_price(text)


@pytest.mark.parametrize(("decimal", "amount"), [(",", "1299"), (".", "1.299")])
def test_the_separator_of_decimals_decides_an_ambiguous_price(decimal: str, amount: str) -> None:
    assert is_ambiguous("1.299")
    assert read_price("1.299", decimal=decimal).amount == Decimal(amount)


@pytest.mark.parametrize(
    ("texts", "default", "decimal"),
    [
        (["1.299", "39,90", "5,00"], ".", ","),
        (["1.299", "39.90", "5,00", "7.5"], ",", "."),
        (["1.299", "2.345.678"], ".", ","),
        (["1.299", "5"], ".", "."),
        (["1.299", "5"], ",", ","),
        (["1.299", "39,90", "39.90"], ".", "."),
    ],
)
def test_the_whole_column_decides(texts: list[str], default: str, decimal: str) -> None:
    column = PriceColumn(default=default)
    for text in texts:
        column.see(text)
    assert column.decimal == decimal
    said = column.explain("1.299")
    assert said is not None
    assert "--decimal" in said
    assert column.explain("1.299") is None, "it is said once"


def test_what_the_operator_says_counts_more() -> None:
    column = PriceColumn(given=".")
    column.see("39,90")
    assert column.decimal == "."
    assert column.explain("1.299") is None
