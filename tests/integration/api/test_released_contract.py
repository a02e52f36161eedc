"""The description breaks no client of the release before; the comparison names what would."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from functools import cache
from typing import Any

import pytest
from flask import Flask
from support.breaking_changes import RECORDED, Comparison, essence
from support.keys import app_with
from support.shop import Shop

SIMILAR = "/v1/products/{sku}/similar"


@cache
def recorded() -> Any:
    return json.loads(RECORDED.read_text())


@pytest.fixture
def plain_app(shop: Shop) -> Flask:
    """The app under the settings with which documents are recorded: no facets, with keys."""
    return app_with(shop.services, facets=(), require_keys=True)


def test_no_client_of_the_release_before_is_broken(plain_app: Flask) -> None:
    described = essence(plain_app.test_client().get("/openapi.json").json)
    found = list(Comparison(recorded(), described).changes())
    assert found == [], "see docs/api.md, Versions"


def schema(document: Any, name: str) -> Any:
    return document["components"]["schemas"][name]


def operation(document: Any, path: str = SIMILAR, method: str = "get") -> Any:
    return document["paths"][path][method]


BREAKING: dict[str, Callable[[Any], object]] = {
    "the operation is removed": lambda it: it["paths"].pop("/v1/facets"),
    "operationId is other": lambda it: operation(it).update(operationId="other"),
    "security is": lambda it: operation(it).update(security=[{"bearer": ["admin"]}]),
    "the parameter image is removed": lambda it: operation(it).update(
        parameters=[each for each in operation(it)["parameters"] if each.get("name") != "image"]
    ),
    "the parameter new is new and required": lambda it: operation(it)["parameters"].append(
        {"name": "new", "in": "query", "required": True, "schema": {"type": "string"}}
    ),
    "maximum is 5, it was 100": lambda it: it["components"]["parameters"]["Limit100"][
        "schema"
    ].update(maximum=5),
    "body: image/* is removed": lambda it: operation(it, "/v1/similar", "post")["requestBody"][
        "content"
    ].pop("image/*"),
    "the member price is removed": lambda it: schema(it, "ProductPatch")["properties"].pop("price"),
    "the member price is required now": lambda it: schema(it, "ProductBody").update(
        required=["price"]
    ),
    "price may not be null any more": lambda it: schema(it, "ProductPatch")["properties"].update(
        price={"type": "number"}
    ),
    "may not be sku any more": lambda it: schema(it, "ProductMember")["enum"].remove("sku"),
    "the answer 200, items, items: the member score is removed": lambda it: (
        schema(it, "Neighbour")["properties"].pop("score"),
        schema(it, "Neighbour")["required"].remove("score"),
    ),
    "the member score may be absent now": lambda it: schema(it, "Neighbour")["required"].remove(
        "score"
    ),
    "score may be string now": lambda it: schema(it, "Neighbour")["properties"].update(
        score={"anyOf": [{"type": "number"}, {"type": "string"}]}
    ),
    "state may be paused now": lambda it: schema(it, "JobState")["enum"].append("paused"),
    "the status 202 is new": lambda it: operation(it)["responses"].update({"202": {}}),
    "the status 204 is removed": lambda it: operation(it, "/v1/products/{sku}", "delete")[
        "responses"
    ].pop("204"),
}


@pytest.mark.parametrize("sentence", BREAKING)
def test_a_change_that_breaks_clients_is_named(sentence: str) -> None:
    changed = copy.deepcopy(recorded())
    BREAKING[sentence](changed)
    found = list(Comparison(recorded(), changed).changes())
    assert any(sentence in it for it in found), found


ALLOWED: dict[str, Callable[[Any], object]] = {
    "nothing": lambda it: None,
    "operation": lambda it: it["paths"].update({"/v1/new": it["paths"]["/v1/facets"]}),
    "parameter": lambda it: operation(it)["parameters"].append(
        {"name": "new", "in": "query", "required": False, "schema": {"type": "string"}}
    ),
    "member-of-an-answer": lambda it: schema(it, "Neighbour")["properties"].update(
        new={"type": "string"}
    ),
    "member-of-a-request": lambda it: schema(it, "SimilarBody")["properties"].update(
        new={"type": "string"}
    ),
    "unchanged": lambda it: operation(it, "/v1/status")["responses"].update({"304": {}}),
    "code": lambda it: schema(it, "ProblemCode")["enum"].append("new-code"),
    "larger-limit": lambda it: it["components"]["parameters"]["Limit100"]["schema"].update(
        maximum=500
    ),
    "body": lambda it: operation(it, "/v1/similar", "post")["requestBody"]["content"].update(
        {"text/plain": {"schema": {"type": "string"}}}
    ),
}


@pytest.mark.parametrize("name", ALLOWED)
def test_what_is_added_breaks_nobody(name: str) -> None:
    changed = copy.deepcopy(recorded())
    ALLOWED[name](changed)
    assert list(Comparison(recorded(), changed).changes()) == []
