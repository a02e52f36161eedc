"""Prices that name a range or the lowest of several prices."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from backend.catalogue.sources import open_source
from backend.catalogue.sources.feed import FeedRow


def read(folder: Path, *prices: str) -> list[FeedRow]:
    lines = [f'{at},"{price}"' for at, price in enumerate(prices)]
    (folder / "feed.csv").write_text("\n".join(["sku,price", *lines, ""]), encoding="utf-8")
    with closing(open_source(folder)) as source:
        return [row for row in source.read() if isinstance(row, FeedRow)]


@pytest.mark.parametrize(
    ("text", "price", "currency"),
    [
        ("9.99 - 19.99", 9.99, None),
        ("$9.99-$19.99", 9.99, "USD"),
        ("9,99 – 19,99 €", 9.99, "EUR"),  # noqa: RUF001
        ("1,299.00 to 1,599.00", 1299.0, None),
        ("9.99 bis 19.99 EUR", 9.99, "EUR"),
        ("from 9.99", 9.99, None),
        ("From: £9.99", 9.99, "GBP"),
        ("ab 9,99 €", 9.99, "EUR"),
        ("à partir de 9,99 €", 9.99, "EUR"),
        ("desde 9,99", 9.99, None),
        ("as low as $9.99", 9.99, "USD"),
        ("9.99+", 9.99, None),
        ("1990円〜", 1990.0, "JPY"),
    ],
)
def test_the_lowest_price_counts(
    tmp_path: Path, text: str, price: float, currency: str | None
) -> None:
    (row,) = read(tmp_path, text)
    assert (row.fields["price"], row.fields.get("currency")) == (price, currency)
    assert f"price: {text!r} is a range; its lowest price counts" in row.warnings


@pytest.mark.parametrize("text", ["20-10", "2024-03-01", "from", "9 EUR - 10 USD", "-5", "a - b"])
def test_what_is_no_range_stays_a_warning(tmp_path: Path, text: str) -> None:
    (row,) = read(tmp_path, text)
    assert row.fields.get("price") is None
    assert any(warning.startswith("price: ") for warning in row.warnings)


def test_ranges_tell_how_decimals_are_written(tmp_path: Path) -> None:
    _, row = read(tmp_path, "9,90 - 12,90", "1.299")
    assert row.fields["price"] == 1299.0
