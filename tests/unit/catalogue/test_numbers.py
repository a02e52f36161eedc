"""Numbers of attributes, as shops write them."""

from __future__ import annotations

from pathlib import Path

import pytest

from backend.catalogue.sources.mapping import read_mapping
from backend.catalogue.sources.numbers import read_number
from backend.errors import ConfigurationError
from backend.feeds.options import FeedOptions


@pytest.mark.parametrize(
    ("text", "decimal", "number"),
    [
        ("42", None, 42),
        ("-3", None, -3),
        ("39.5", None, 39.5),
        ("39,5", None, 39.5),
        ("1,299", None, 1299),
        ("1,299.25", None, 1299.25),
        ("1 299", None, 1299),
        ("1\u2019299", None, 1299),
        ("1.299", ",", 1299),
        ("1.299,5", ",", 1299.5),
        ("1,299", ".", 1299),
        ("1.299", ".", 1.299),
        ("0012", None, 12),
    ],
)
def test_a_number_is_read_as_it_was_meant(text: str, decimal: str | None, number: float) -> None:
    found = read_number(text, decimal=decimal)
    assert (found, type(found)) == (number, type(number))


@pytest.mark.parametrize("text", ["", "XL", "42 cm", "4-5", "1,2,3", "inf", "nan", "1e5", "9" * 30])
def test_what_is_no_number_is_none(text: str) -> None:
    assert read_number(text) is None


def test_a_mapping_file_and_a_feed_declare_columns_of_numbers(tmp_path: Path) -> None:
    file = tmp_path / "mapping.toml"
    file.write_text('numeric = ["size", "rating"]\n')
    assert read_mapping(file).numeric == ("size", "rating")
    file.write_text('numeric = "size"\n')
    with pytest.raises(ConfigurationError, match="must be a list of columns"):
        read_mapping(file)
    stored = FeedOptions(numeric=["size"]).as_row()
    assert stored == {"numeric": ["size"]}
    assert FeedOptions.of_row(stored).mapping.numeric == ("size",)
