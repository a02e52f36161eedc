"""A word that is not known never means that a product is in stock."""

from __future__ import annotations

import pytest

from backend.catalogue.sources.availability import IN_STOCK, NOT_IN_STOCK, read_availability


@pytest.mark.parametrize(
    "text",
    [
        *("in stock", "in_stock", "InStock", "IN-STOCK", "https://schema.org/InStock", "instock"),
        *("1", "12.0", "0,5", "1.000", "ja", "Oui", "vrai", "schema:LimitedAvailability"),
        *("yes", "TRUE"),
    ],
)
def test_these_are_in_stock(text: str) -> None:
    assert read_availability(text) is True


@pytest.mark.parametrize(
    "text",
    [
        *("out of stock", "out_of_stock", "OutOfStock", "http://schema.org/SoldOut", "outofstock"),
        *("-3", "0", "0.0", "no", "FALSE", "nein", "épuisé", "ausverkauft", "Discontinued"),
        *("preorder", "pre-order", "backorder", "onbackorder"),
    ],
)
def test_these_are_not_in_stock(text: str) -> None:
    assert read_availability(text) is False


@pytest.mark.parametrize(
    "text", ["perhaps", "nan", "inf", "ask us", "?", "https://x.example/InStock"]
)
def test_any_other_word_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="does not say whether there is stock"):
        read_availability(text)


def test_an_empty_cell_says_nothing_and_no_word_means_both() -> None:
    assert read_availability(" ") is None
    assert not IN_STOCK & NOT_IN_STOCK
