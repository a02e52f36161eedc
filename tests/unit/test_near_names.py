"""What a client may have meant by a name that is not known."""

from __future__ import annotations

import pytest

from backend.near_names import hint, nearest

FIELDS = ["display_name", "sub_category", "master_category", "base_colour", "in_stock", "usage"]


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("base_color", ["base_colour"]),
        ("BASE_COLOUR", ["base_colour"]),
        ("color", ["base_colour"]),
        ("name", ["display_name"]),
        ("category", ["sub_category", "master_category"]),
        ("stock", ["in_stock"]),
        ("page", []),
        ("q", []),
        ("base_color" * 100, []),
    ],
)
def test_a_name_is_near_what_is_written_like_it_or_ends_in_it(name: str, meant: list[str]) -> None:
    assert nearest(name, FIELDS) == meant


def test_a_hint_is_appended_to_a_message_and_empty_where_nothing_is_near() -> None:
    assert hint("category", FIELDS) == "; the nearest is sub_category or master_category"
    assert hint("page", FIELDS) == ""
