"""Prices as people read them."""

from __future__ import annotations

import pytest

from backend.web.prices import price_text


@pytest.mark.parametrize(
    ("price", "currency", "shown"),
    [
        (1299, "EUR", "1,299.00\N{NO-BREAK SPACE}EUR"),
        (0.5, None, "0.50"),
        (12500, "JPY", "12,500\N{NO-BREAK SPACE}JPY"),
    ],
    ids=["EUR", "no currency", "JPY"],
)
def test_a_price_has_the_digits_of_its_currency(
    price: float, currency: str | None, shown: str
) -> None:
    assert price_text(price, currency) == shown
