"""The largest filters that are allowed, asked of both databases."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import insert, select
from support.shop import Shop

from backend.catalogue import products
from backend.catalogue.filter_sql import conditions
from backend.database.engine import Database
from backend.database.models import Product
from backend.filters import Condition, Where
from backend.filters.budget import MOST_CLAUSES, MOST_VALUES

STORED: dict[str, Any] = {
    "whole": 42,
    "part": 42.5,
    "text": "42",
    "yes": True,
    "list": [41, 42.5],
    "none": "x",
}
OTHERS = tuple(range(1000, 1000 + MOST_VALUES - 1))
"""So many that one more value fills the budget."""


def listed(database: Database, where: Where) -> list[str]:
    with database.read() as session:
        return [row.sku for row in products.page(session, limit=100, where=where)]


@pytest.fixture
def stored(any_db: Database) -> Database:
    """A product for each kind of value of the attribute `size`."""
    rows = [
        {"sku": sku, "attributes": {"size": value}, "year": 2000 + number}
        for number, (sku, value) in enumerate(STORED.items())
    ]
    any_db.write(lambda session: session.execute(insert(Product), rows))
    return any_db


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (42, ["whole", "text"]),
        ("42", ["whole", "text"]),
        (42.5, ["part", "list"]),
        ("true", ["yes"]),
        ("x", ["none"]),
    ],
)
def test_an_attribute_is_compared_with_as_many_values_as_are_allowed(
    stored: Database, value: Any, found: list[str]
) -> None:
    all_of_them = (value, *OTHERS)
    assert listed(stored, {"attributes.size": Condition(any_of=all_of_them)}) == found
    others = [sku for sku in STORED if sku not in found]
    assert listed(stored, {"attributes.size": Condition(none_of=all_of_them)}) == others


def test_a_column_is_compared_with_as_many_values_as_are_allowed(stored: Database) -> None:
    assert listed(stored, {"year": Condition(any_of=(2001, *OTHERS))}) == ["part"]
    assert len(listed(stored, {"year": Condition(none_of=(2001, *OTHERS))})) == len(STORED) - 1


def test_as_many_clauses_as_are_allowed_are_compared(stored: Database) -> None:
    many = {f"attributes.a{number}": Condition(none_of=(1, 2.5)) for number in range(MOST_CLAUSES)}
    assert listed(stored, many) == list(STORED)


def test_the_bounds_of_a_range_hold_for_one_element_of_a_list(stored: Database) -> None:
    """The list 41, 42.5 has a value above 41.5 and one below 42, but none between."""
    between = {"attributes.size": Condition(gt=41.5, lt=42)}
    assert listed(stored, between) == []
    assert listed(stored, {"attributes.size": Condition(gt=41.5, lt=42.25)}) == ["whole"]


def test_the_statement_does_not_grow_with_the_values(stored: Database) -> None:
    """163 numbers passed, and 164 were too deep for SQLite."""

    def text_of(count: int) -> str:
        where = {"attributes.size": Condition(any_of=tuple(range(count)))}
        with stored.read() as session:
            statement = select(Product.id).where(*conditions(session, where))
            return str(statement.compile(stored.engine))

    assert text_of(2) == text_of(1000)


def over_rest(count: int, part: str) -> list[dict[str, Any]]:
    """A filter of so many values on an open attribute: as parameters, and as JSON of a body."""
    numbers = [number + 0.5 for number in range(count)]
    condition = numbers if part == "any_of" else {"not": numbers}
    suffix = "" if part == "any_of" else "_not"
    words = ",".join(map(str, numbers))
    return [
        {"query_string": {f"attributes.size{suffix}": words}},
        {"json": {"sku": "0001", "filter": {"attributes.size": condition}}},
    ]


@pytest.mark.parametrize("part", ["any_of", "none_of"])
def test_one_value_more_than_allowed_is_422_in_every_form(wardrobe: Shop, part: str) -> None:
    query, body = over_rest(MOST_VALUES, part)
    assert wardrobe.client.get("/v1/products", **query).status_code == 200
    assert wardrobe.client.get("/v1/products/0001/similar", **query).status_code == 200
    assert wardrobe.client.get("/v1/facets", **query).status_code == 200
    assert wardrobe.client.post("/v1/similar", **body).status_code == 200
    query, body = over_rest(MOST_VALUES + 1, part)
    for refused in (
        wardrobe.client.get("/v1/products", **query),
        wardrobe.client.get("/v1/products/0001/similar", **query),
        wardrobe.client.get("/v1/facets", **query),
        wardrobe.client.post("/v1/similar", **body),
    ):
        assert refused.status_code == 422
        (fault,) = refused.json["errors"]
        assert fault["code"] == "filter-too-large"
        assert "1000 values" in fault["detail"]
