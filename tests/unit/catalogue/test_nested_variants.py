"""JSON in which products hold their variants: each variant with a sku is a product."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from backend.catalogue.import_memory import LastLines
from backend.catalogue.import_rows import CheckedRow, read_rows
from backend.catalogue.sources import open_source
from backend.catalogue.sources.feed import Reject

C = "https://c"
REST = {
    "id": 1,
    "title": "Tee",
    "image": {"id": 6, "src": f"{C}/0.jpg"},
    "images": [{"id": 6, "src": f"{C}/0.jpg"}, {"id": 7, "src": f"{C}/1.jpg"}],
    "options": [{"name": "Color"}],
    "variants": [
        {"id": 11, "sku": "A", "price": "9.90", "option1": "Red", "image_id": 7},
        {"id": 12, "sku": "B", "price": "8.50", "option1": "Blue", "image_id": None},
    ],
}
NODES = [
    {
        "id": "gid://v/11",
        "sku": "A",
        "title": "Red",
        "price": "9.90",
        "selectedOptions": [{"name": "Color", "value": "Red"}],
        "image": {"url": f"{C}/1.jpg"},
    },
    {
        "id": "gid://v/12",
        "sku": "B",
        "title": "Blue",
        "price": {"amount": "8.50", "currencyCode": "EUR"},
        "selectedOptions": [{"name": "Color", "value": "Blue"}],
    },
]
NODE = {"id": "1", "title": "Tee", "images": {"edges": [{"node": {"url": f"{C}/0.jpg"}}]}}
OTHER = {
    "id": "1",
    "name": "Tee",
    "images": [f"{C}/0.jpg"],
    "skus": [
        {"sku": "A", "price": 9.9, "color": "Red", "images": [f"{C}/1.jpg"]},
        {"sku": "B", "price": 8.5, "color": "Blue"},
    ],
}
FEEDS: dict[str, Any] = {
    "shopify": {"products": [REST]},
    "one product": REST,
    "nodes": {"data": {"products": {"nodes": [{**NODE, "variants": {"nodes": NODES}}]}}},
    "edges": {
        "data": {
            "products": {
                "edges": [{"node": {**NODE, "variants": {"edges": [{"node": n} for n in NODES]}}}]
            }
        }
    },
    "other": [OTHER],
}


def read(folder: Path, text: str) -> list[CheckedRow | Reject]:
    (folder / "feed.json").write_text(text, encoding="utf-8")
    with closing(open_source(folder / "feed.json")) as source:
        return list(read_rows(source, LastLines(source.skus())))


@pytest.mark.parametrize("feed", FEEDS)
def test_each_variant_is_a_product_with_the_values_of_its_own_product(
    tmp_path: Path, feed: str
) -> None:
    first, second = read(tmp_path, json.dumps(FEEDS[feed]))
    assert isinstance(first, CheckedRow)
    assert isinstance(second, CheckedRow)
    assert (first.sku, second.sku) == ("A", "B")
    for row, price, colour in ((first, 9.9, "Red"), (second, 8.5, "Blue")):
        expected = {"group_id": "1", "display_name": "Tee", "price": price, "base_colour": colour}
        assert row.draft.values | expected == row.draft.values
    images = [row.draft.image.uri for row in (first, second) if row.draft.image]
    assert images == [f"{C}/1.jpg", f"{C}/0.jpg"]


@pytest.mark.parametrize(
    ("items", "skus"),
    [
        ([{"sku": "P", "variants": [{"sku": "A"}]}], ["P"]),
        ([{"id": "P", "variants": [{"size": "M"}]}], ["P"]),
        ([{"id": "P", "variants": []}, REST], ["P", "A", "B"]),
        ([{"id": "P", "items": [{"id": "x"}]}], ["P"]),
    ],
)
def test_a_product_whose_variants_have_no_sku_or_that_has_one_stays_one(
    tmp_path: Path, items: Any, skus: list[str]
) -> None:
    assert [row.sku for row in read(tmp_path, json.dumps(items))] == skus
