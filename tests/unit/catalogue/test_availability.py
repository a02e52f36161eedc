"""A word that is not known never means that a product is in stock."""

from __future__ import annotations

import pytest

from backend.catalogue.sources.availability import COUNTED, NOT_IN_STOCK, read_availability


@pytest.mark.parametrize(
    "text",
    [
        *("in stock", "in_stock", "InStock", "IN-STOCK", "https://schema.org/InStock", "instock"),
        *("1", "12.0", "0,5", "1.000", "ja", "Oui", "vrai", "schema:LimitedAvailability"),
        *("yes", "TRUE", "schema.org/InStock", "ab Lager", "dostępna", "készleten", "în stoc"),
        *("в наявності", "διαθέσιμο", "在庫あり", "有货", "재고 있음", "متوفر", "finns i lager"),
        *("> 10", "10+", "10 Stück", "5 pcs.", "in stock (5)", "only 3 left", "٣"),
        *("lieferbar in 2-3 Tagen", "ships within 24 hours"),
        *(">0", "> 10", "unlimited", "∞", "Stock: 5", "qty 3"),
        *("In stock - 5 left", "Sofort lieferbar, Lieferzeit 1-3 Tage", "Skladem > 5 ks"),
        *("1-2 Werktage", "24h", "limited stock", "Pronta consegna", "còn hàng", "✓", "○", "有"),
    ],
)
def test_a_word_for_what_is_in_stock_is_read_in_many_languages(text: str) -> None:
    assert read_availability(text) is True


@pytest.mark.parametrize(
    "text",
    [
        *("out of stock", "out_of_stock", "OutOfStock", "http://schema.org/SoldOut", "outofstock"),
        *("-3", "0", "0.0", "no", "FALSE", "nein", "épuisé", "ausverkauft", "Discontinued"),
        *("preorder", "pre-order", "backorder", "onbackorder", "auf Anfrage", "hors stock"),
        *("stokta yok", "HAYIR", "немає в наявності", "在庫なし", "缺货", "품절", "brak", "nincs"),
        *("0 pcs", "in stock (0)", "0 left", "\N{MINUS SIGN}3", "'-3", "ikke på lager"),
        *("temporarily sold out", "nicht mehr lieferbar", "bientôt disponible", "stock: 0"),
        *("available from 2031-05-01", "preorder (12.03.)"),
        *("Sold out - on order", "нет на складе", "hết hàng", "✗", "×", "无"),  # noqa: RUF001
    ],
)
def test_these_are_not_in_stock(text: str) -> None:
    assert read_availability(text) is False


@pytest.mark.parametrize(
    "text",
    [
        "perhaps",
        "3 reasons",
        "5 out of 7",
        "nan",
        "inf",
        "ask us",
        "in stock - ask us",
        "?",
        "https://x.example/InStock",
    ],
)
def test_any_other_word_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="does not say whether there is stock"):
        read_availability(text)


def test_an_empty_cell_says_nothing_and_no_word_means_both() -> None:
    assert read_availability(" ") is None
    assert not COUNTED & NOT_IN_STOCK
