"""What a client may have meant by a name that is not known."""

from __future__ import annotations

import pytest

from backend.near_names import hint, nearest, nearest_path

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


PATHS = {
    "/v1/products",
    "/v1/products/{sku}",
    "/v1/products/{sku}/similar",
    "/v1/products:batch",
    "/v1/events:batch",
    "/v1/recommendations",
    "/v1/status",
}


@pytest.mark.parametrize(
    ("path", "meant"),
    [
        ("/v1/product", "/v1/products"),
        ("/v1/product/4711", "/v1/products/{sku}"),
        ("/v1/Products/4711/similars", "/v1/products/{sku}/similar"),
        ("/v1/events", "/v1/events:batch"),
        ("/v1/recommendation", "/v1/recommendations"),
        ("/v1/products/4711/", None),
        ("/v1/products/4711/prices", None),
        ("/v1/search", None),
        ("/v1/a/b/c/d/e", None),
        ("/v1/product" + "s" * 200, None),
    ],
)
def test_a_path_is_near_one_whose_parts_are_written_like_its_parts(
    path: str, meant: str | None
) -> None:
    assert nearest_path(path, PATHS) == meant
