"""A plan reads a plain row as the checks of every other row would, or leaves it to them."""

from __future__ import annotations

from typing import Any

import pytest

from backend.catalogue.drafts import parse
from backend.catalogue.sources.column_names import match
from backend.catalogue.sources.columns import Columns
from backend.catalogue.sources.row_plan import MOST_KEPT, RowPlan
from backend.errors import InvalidProduct

HEADER = [
    *("sku", "name", "gender", "baseColour", "year", "price", "currency", "availability"),
    *("link", "brand", "group_id", "image", "fabric", "fit"),
]
PLAIN = {
    "sku": "sku-1",
    "name": "A tie",
    "gender": "Men",
    "baseColour": "Red",
    "year": "2012",
    "price": "12.50",
    "currency": "eur",
    "availability": "in stock",
    "brand": "Ace",
    "link": "https://shop.example/1",
    "group_id": "g-1",
    "image": "a.jpg",
    "fabric": "silk",
    "fit": "slim",
}
CELLS = [
    *("", "  ", " Red ", "NA", '="00123"', "x" * 255, "x" * 256, "x" * 2_001, "a\0b", "\ud800"),
    *(
        "2012.0",
        "2012",
        "1800",
        "12",
        "12.5",
        "0",
        "0.001",
        "12,50",
        "EUR 12",
        "12 €",
        "99999999999",
    ),
    *("eur", "€", "euro", "EU", "yes", "no", "0", "in stock", "maybe", "true", "x" * 7_000),
    *("//shop.example/a?b=1&amp;c=2", "ftp://x", "https://", "https://a b", "ß", "1", "..", "a b"),
    *("N/A", "-", "R&D", "Tees &amp; Tops", "a <b>tie</b>", "[a]", "{a,b}", "Tie ", "a\u00a0b"),
]


def columns() -> Columns:
    return match(HEADER, {})


def row(**cells: str) -> list[str]:
    return [(PLAIN | cells)[name] for name in HEADER]


def slowly(values: list[str]) -> tuple[str, str | None, dict[str, Any]] | None:
    """Read and check a row as one that is not plain is read; None if something is wrong."""
    fields, warnings = columns().read(values)
    if warnings or fields["sku"] is None:
        return None
    uri = fields.pop("image_uri")
    try:
        draft = parse(fields)
    except InvalidProduct:
        return None
    return draft.sku, uri, dict(draft.values)


@pytest.mark.parametrize("column", HEADER)
def test_a_plan_and_the_checks_agree_on_every_cell(column: str) -> None:
    plan = RowPlan.make(columns())
    assert plan is not None
    for cell in CELLS:
        values = row(**{column: cell})
        for _ in range(2):  # read, and remembered
            found = plan.read(values)
            assert found is None or found == slowly(values), (column, cell)


def test_what_is_well_formed_is_plain() -> None:
    plan = RowPlan.make(columns())
    assert plan is not None
    assert plan.read(row()) == slowly(row()) is not None
    for column, cell in [("year", ""), ("price", ""), ("availability", ""), ("name", "")]:
        values = row(**{column: cell})
        assert plan.read(values) == slowly(values) is not None


def test_attributes_that_are_large_together_get_a_closer_look() -> None:
    plan = RowPlan.make(columns())
    assert plan is not None
    large = "x" * 3_000
    assert plan.read(row(fabric=large)) is not None
    assert plan.read(row(fabric=large, fit=large)) is None


@pytest.mark.parametrize("name", ["x" * 129, "a\0b"], ids=["long", "nul"])
def test_a_table_with_a_key_that_cannot_be_stored_has_no_plan(name: str) -> None:
    assert RowPlan.make(match(["sku", name], {})) is None


def test_a_table_with_a_column_of_objects_has_no_plan() -> None:
    assert RowPlan.make(match(["sku", "attributes"], {})) is None


def test_a_column_of_different_cells_is_not_remembered_without_end() -> None:
    plan = RowPlan.make(match(["sku", "name"], {}))
    assert plan is not None
    for number in range(MOST_KEPT + 500):
        assert plan.read([f"sku-{number}", f"name {number}"]) is not None
    ((_, _, cells),) = plan.fields
    assert len(cells) == MOST_KEPT
