"""A path that is matched without a walk through the rules has the rule that werkzeug finds."""

from __future__ import annotations

import pytest
from werkzeug.exceptions import MethodNotAllowed, NotFound
from werkzeug.routing import Map, Rule

from backend.api.quick_routes import QuickRoutes

RULES = [
    Rule("/v1/products/<sku>/similar", endpoint="similar", methods=["GET"]),
    Rule("/v1/products/export/similar", endpoint="export", methods=["GET"]),
    Rule("/v1/products/<sku>", endpoint="product", methods=["GET", "PUT"]),
    Rule("/v1/jobs/<int:id>/log", endpoint="log", methods=["GET"]),
    Rule("/v1/feeds/<name>/runs", endpoint="runs", methods=["GET"]),
    Rule("/v1/feeds/<int:id>/runs", endpoint="numbered", methods=["GET"]),
    Rule("/v1/files/<name>/text", endpoint="text", methods=["GET"]),
    Rule("/v1/files/<path:path>", endpoint="file", methods=["GET"]),
]

LEARNT = "/v1/products/shoe-1/similar"


@pytest.fixture
def rules() -> Map:
    """Some rules, among which several could match one path."""
    return Map([rule.empty() for rule in RULES])


def learn(rules: Map, path: str, method: str = "GET") -> QuickRoutes:
    """Return what knows one path, as an app learns it."""
    routes = QuickRoutes(rules)
    matched = rules.bind("shop.example").match(path, method, return_rule=True)
    routes.learn(method, path, matched[0])
    return routes


@pytest.mark.parametrize("sku", ["a", "shoe-1", "X_9", "similar2", "0"])
def test_other_values_at_the_same_place_are_found(rules: Map, sku: str) -> None:
    path = f"/v1/products/{sku}/similar"
    found = learn(rules, LEARNT).find("GET", path)
    assert found == rules.bind("shop.example").match(path, "GET", return_rule=True)


@pytest.mark.parametrize(
    "path",
    [
        "/v1/products/export/similar",  # has a rule of its own
        "/v1/products/similar/similar",
        "/v1/products/a%2Fb/similar",
        "/v1/products/a b/similar",
        "/v1/products//similar",
        "/v1/products/a/b/similar",
        "/v1/products/a/similar/",
        "/v1/products/a",
        "//v1/products/a/similar",
        "",
    ],
)
def test_all_else_is_left_to_werkzeug(rules: Map, path: str) -> None:
    assert learn(rules, LEARNT).find("GET", path) is None


def test_another_method_is_left_to_werkzeug(rules: Map) -> None:
    routes = learn(rules, LEARNT)
    assert routes.find("PUT", LEARNT) is None
    with pytest.raises(MethodNotAllowed):
        rules.bind("shop.example").match(LEARNT, "PUT")


@pytest.mark.parametrize(
    ("path", "other"),
    [
        ("/v1/feeds/shop/runs", "/v1/feeds/7/runs"),
        ("/v1/files/a/text", "/v1/files/b/text"),
        ("/v1/jobs/3/log", "/v1/jobs/x/log"),
        ("/v1/products/a", "/v1/products/b"),
    ],
)
def test_what_another_rule_may_match_too_is_not_learnt(rules: Map, path: str, other: str) -> None:
    routes = learn(rules, path)
    assert routes.find("GET", path) is None
    assert routes.find("GET", other) is None


def test_no_rule_is_found_where_there_is_none(rules: Map) -> None:
    with pytest.raises(NotFound):
        rules.bind("shop.example").match("/v1/jobs/x/log", "GET")
