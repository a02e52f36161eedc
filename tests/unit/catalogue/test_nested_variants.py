"""JSON in which products hold their variants: each variant with a sku is a product."""

from __future__ import annotations

import json
from collections.abc import Sequence
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


BULK = [
    {"id": "1", "title": "Tee", "options": [{"name": "Color"}]},
    {"id": "gid://m/6", "image": {"url": f"{C}/0.jpg"}, "__parentId": "1"},
    {**NODES[0], "__parentId": "1"},
    {"id": "gid://metafield/1", "key": "care", "value": "wash", "__parentId": "gid://v/11"},
    {**NODES[1], "__parentId": "1"},
]


def read(folder: Path, text: str) -> list[CheckedRow | Reject]:
    (folder / "feed.json").write_text(text, encoding="utf-8")
    with closing(open_source(folder / "feed.json")) as source:
        return list(read_rows(source, LastLines(source.skus())))


@pytest.mark.parametrize("feed", FEEDS)
def test_each_variant_is_a_product_with_the_values_of_its_own_product(
    tmp_path: Path, feed: str
) -> None:
    check_both(read(tmp_path, json.dumps(FEEDS[feed])))


def test_lines_below_a_product_are_its_variants_and_images(tmp_path: Path) -> None:
    other = {"id": "2", "title": "Cap", "image": f"{C}/2.jpg"}
    first, *both, last = read(
        tmp_path, "\n".join(map(json.dumps, [other, *BULK, other | {"id": "3"}]))
    )
    check_both(both)
    assert [first.sku, last.sku] == ["2", "3"]
    assert isinstance(both[0], CheckedRow)
    assert "wash" in str(both[0].draft.values)  # a metafield of the first variant
    assert "wash" not in str(both[1])


def test_a_variant_whose_product_is_not_above_stays_a_product(tmp_path: Path) -> None:
    lines = [{"id": "v", "sku": "V", "price": "1.00", "__parentId": "9"}, *BULK]
    variant, *both = read(tmp_path, "\n".join(map(json.dumps, lines)))
    assert variant.sku == "V"
    check_both(both)


@pytest.mark.parametrize(
    ("child", "reason"),
    [
        ({"id": "x", "__parentId": "9"}, "neither the product above"),
        ({"id": "x", "__parentId": "1"}, "no variant, image or metafield"),
    ],
)
def test_a_line_below_a_product_that_means_nothing_is_a_reject(
    tmp_path: Path, child: dict[str, str], reason: str
) -> None:
    rows = read(tmp_path, "\n".join(map(json.dumps, [*BULK, child])))
    (reject,) = [row for row in rows if isinstance(row, Reject)]
    assert reason in reject.reason
    check_both([row for row in rows if row is not reject])


def check_both(rows: Sequence[CheckedRow | Reject]) -> None:
    first, second = rows
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
        ([{"sku": "P", "items": [{"sku": "A"}]}], ["P"]),  # perhaps the parts of a set
        ([{"sku": "P", "variants": [{"sku": "P"}]}], ["P"]),
        ([{"id": "P", "variants": [{"size": "M"}]}], ["P"]),
        ([{"id": "P", "variants": []}, REST], ["P", "A", "B"]),
        ([{"id": "P", "items": [{"id": "x"}]}], ["P"]),
    ],
)
def test_a_product_whose_variants_have_no_sku_of_their_own_stays_one(
    tmp_path: Path, items: Any, skus: list[str]
) -> None:
    assert [row.sku for row in read(tmp_path, json.dumps(items))] == skus
