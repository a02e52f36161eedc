"""The largest filters that are allowed, asked of both databases."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from sqlalchemy import insert, select
from support.shop import Shop
from werkzeug.test import TestResponse

from backend.catalogue import products
from backend.catalogue.filter_sql import conditions
from backend.database.engine import Database
from backend.database.models import Product
from backend.filters import Condition, Where
from backend.filters.budget import MOST_BYTES, MOST_CLAUSES, MOST_VALUES

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


def sized(values: int = 0, clauses: int = 0, size: int = 0) -> dict[str, Any]:
    """A filter in JSON with so many values or clauses, or of so many bytes."""
    if values:
        return {"attributes.size": [number + 0.5 for number in range(values)]}
    if clauses:
        return {f"attributes.a{number}": {"not": "x"} for number in range(clauses)}
    return {"attributes.a": "x" * (size - len(json.dumps({"attributes.a": ""})))}


def answers(shop: Shop, where: dict[str, Any]) -> list[TestResponse]:
    """Ask with a filter in every form: query strings, a form, a JSON body."""
    text, client = json.dumps(where), shop.client
    image = (io.BytesIO(shop.client.get("/v1/products/0001/image").data), "x.png")
    return [
        client.get("/v1/products", query_string={"filter": text}),
        client.get("/v1/products/0001/similar", query_string={"filter": text}),
        client.get("/v1/facets", query_string={"filter": text, "fields": "gender"}),
        client.post("/v1/similar", data={"image": image, "filter": text}),
        client.post("/v1/similar", json={"sku": "0001", "filter": where}),
    ]


LIMITS = [
    ("values", MOST_VALUES, "1000 values in all clauses"),
    ("clauses", MOST_CLAUSES, "100 clauses"),
    ("size", MOST_BYTES, "65536 bytes"),
]


@pytest.mark.parametrize(("what", "most", "said"), LIMITS, ids=[each[0] for each in LIMITS])
def test_a_filter_may_be_as_large_in_every_form_and_no_larger(
    wardrobe: Shop, what: str, most: int, said: str
) -> None:
    assert {it.status_code for it in answers(wardrobe, sized(**{what: most}))} == {200}
    for refused in answers(wardrobe, sized(**{what: most + 1})):
        assert refused.status_code == 422
        (fault,) = refused.json["errors"]
        assert fault["code"] == "filter-too-large"
        assert said in fault["detail"]


def test_parameters_share_the_budget_of_the_filter_beside_them(wardrobe: Shop) -> None:
    half = {"filter": json.dumps(sized(values=600)), "year": ",".join(map(str, range(401)))}
    refused = wardrobe.client.get("/v1/products", query_string=half)
    assert refused.status_code == 422
    assert [fault["code"] for fault in refused.json["errors"]] == ["filter-too-large"]
    half["year"] = ",".join(map(str, range(400)))
    assert wardrobe.client.get("/v1/products", query_string=half).status_code == 200


def test_beyond_the_budget_nothing_more_is_read(wardrobe: Shop) -> None:
    """Sixty clauses of a thousand exclusions took the server two minutes."""
    where = {f"attributes.a{number}": {"not": list(range(1000))} for number in range(60)}
    for refused in answers(wardrobe, where):
        assert refused.status_code == 422
        assert len(refused.json["errors"]) == 1
