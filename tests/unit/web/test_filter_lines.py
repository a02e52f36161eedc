"""A stored filter is shown in a form so that it says the same when it is sent again."""

from __future__ import annotations

from typing import Any

import pytest

from backend.filters import Schema
from backend.web.admin.filter_lines import read_filter, write_filter

SCHEMA: Schema = {"brand": "keyword", "year": "integer", "price": "float", "in_stock": "bool"}


@pytest.mark.parametrize(
    ("stored", "shown"),
    [
        ({"brand": ["Acme", "a,b\\c"], "in_stock": True}, "brand=Acme,a\\,b\\\\c\nin_stock=true"),
        ({"brand": {"not": "Acme"}}, "brand_not=Acme"),
        (
            {"year": 2012, "price": {"gte": 1.5, "lt": 1e6}},
            "year=2012\nprice_gte=1.5\nprice_lt=1000000",
        ),
        ({"attributes.fit": "slim = fit"}, "attributes.fit=slim = fit"),
    ],
    ids=["values", "not", "numbers", "attribute"],
)
def test_a_filter_is_shown_as_lines(stored: dict[str, Any], shown: str) -> None:
    assert write_filter(stored, SCHEMA) == shown
    again = read_filter(shown, SCHEMA, named="filter")
    assert write_filter(again, SCHEMA) == shown


@pytest.mark.parametrize(
    "stored",
    [
        {"attributes.if_not": "x"},  # as a line it would be the negation of `attributes.if`
        {"attributes.note": "two\nlines"},
        {"taste": "sweet"},  # a field that was a facet once
        {"attributes.note": " blanks "},
    ],
    ids=["ends like a word", "line break", "unknown field", "blanks"],
)
def test_what_lines_cannot_say_is_shown_as_json(stored: dict[str, Any]) -> None:
    shown = write_filter(stored, SCHEMA)
    assert shown.startswith("{")
    assert read_filter(shown, SCHEMA, named="filter") == stored


def test_damaged_filters_and_none_are_shown_too() -> None:
    assert write_filter(None, SCHEMA) == ""
    assert write_filter(["x"], SCHEMA) == '["x"]'
