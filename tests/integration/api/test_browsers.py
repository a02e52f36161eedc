"""A web page in an operator's browser changes nothing, unless its origin is allowed."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from flask.testing import FlaskClient
from support.keys import app_with, bearer
from support.shop import PROBLEM, Shop
from werkzeug.test import TestResponse

from backend.access.scope import Scope
from backend.errors import ConfigurationError
from backend.settings import Settings, read_settings

ROLLBACK = "/v1/admin/generations/rollback"
OWN_HOSTS = [
    "localhost",
    "localhost:8000",
    "127.0.0.1:8000",
    "127.9.9.9",
    "[::1]:8000",
    "a.localhost",
]
FOREIGN_HOSTS = [
    "evil.example",
    "evil.example:8000",
    "127.0.0.1.evil.example",
    "localhost.evil.example",
]
FOREIGN_HOSTS += ["10.0.0.1", "[2001:db8::1]", "0.0.0.0", "evil", "[::1"]

FOREIGN_PAGES = {
    "another origin": {"Origin": "https://evil.example"},
    "another port": {"Origin": "http://localhost:3000"},
    "no origin": {"Origin": "null"},
    "a malformed origin": {"Origin": "http://["},
    "another site": {"Sec-Fetch-Site": "cross-site"},
    "the same site": {"Sec-Fetch-Site": "same-site"},
    "another site under our name": {
        "Sec-Fetch-Site": "cross-site",
        "Origin": "http://localhost",
    },
}
OWN_PAGES = {
    "a program": {},
    "our own page": {"Origin": "http://localhost", "Sec-Fetch-Site": "same-origin"},
    "a person": {"Sec-Fetch-Site": "none"},
}


def assert_refused(refused: TestResponse, status: int, code: str) -> None:
    assert (refused.status_code, refused.content_type) == (status, PROBLEM)
    assert refused.json["code"] == code


@pytest.mark.parametrize("host", OWN_HOSTS)
def test_an_unlocked_server_answers_under_its_own_names(client: FlaskClient, host: str) -> None:
    assert client.get("/v1/status", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize("host", FOREIGN_HOSTS)
def test_an_unlocked_server_answers_under_no_other_name(client: FlaskClient, host: str) -> None:
    """A page's own name may resolve to 127.0.0.1: then the browser lets it read what we answer."""
    for ask in (client.get, client.post):
        assert_refused(ask("/v1/status", headers={"Host": host}), 421, "misdirected-request")


def test_a_locked_server_answers_under_any_name(
    locked: FlaskClient, token: Callable[[Scope], str]
) -> None:
    headers = bearer(token(Scope.READ)) | {"Host": "shop.example"}
    assert locked.get("/v1/status", headers=headers).status_code == 200


def test_a_server_that_was_opened_to_others_answers_under_any_name(shop: Shop) -> None:
    opened = app_with(shop.services, host="0.0.0.0", require_keys=False).test_client()
    assert opened.get("/v1/status", headers={"Host": "shop.example"}).status_code == 200
    refused = opened.put("/v1/products/1", json={}, headers={"Origin": "https://evil.example"})
    assert_refused(refused, 403, "cross-site-request")


@pytest.mark.parametrize("headers", FOREIGN_PAGES.values(), ids=FOREIGN_PAGES)
def test_a_foreign_page_changes_nothing(shop: Shop, headers: dict[str, str]) -> None:
    shop.put("1")
    image = "/v1/products/1/image"
    for refused in (
        shop.client.post(ROLLBACK, headers=headers),
        shop.client.post(ROLLBACK, headers=headers, json={}),
        shop.client.post("/v1/similar", headers=headers, data={"sku": "1"}),
        shop.client.put(image, headers=headers, data=b"x", content_type="text/plain"),
        shop.client.delete("/v1/products/1", headers=headers),
    ):
        assert_refused(refused, 403, "cross-site-request")
    assert shop.client.get("/v1/products/1", headers=headers).status_code == 200
    assert (
        "Access-Control-Allow-Origin" not in shop.client.get("/v1/status", headers=headers).headers
    )


@pytest.mark.parametrize("headers", OWN_PAGES.values(), ids=OWN_PAGES)
def test_others_change_what_they_like(client: FlaskClient, headers: dict[str, str]) -> None:
    assert client.put("/v1/products/1", json={}, headers=headers).status_code == 201


def test_a_body_of_json_may_be_empty_but_has_to_be_declared(client: FlaskClient) -> None:
    for url in (ROLLBACK, "/v1/admin/reindex", "/v1/admin/generations/1/promote"):
        for content_type in (None, "text/plain", "application/x-www-form-urlencoded"):
            refused = client.post(url, content_type=content_type)
            assert_refused(refused, 415, "unsupported-media-type")
    assert client.post(ROLLBACK, content_type="application/json").status_code == 409


# --- CORS ----------------------------------------------------------------------------------------

SHOP = "https://shop.example"
PREFLIGHT = {"Origin": SHOP, "Access-Control-Request-Method": "PUT"}


def test_an_allowed_origin_is_answered_and_no_other(shop: Shop) -> None:
    allowing = app_with(shop.services, cors_origins=(SHOP, "http://localhost:3000")).test_client()
    for origin in (SHOP, "http://localhost:3000"):
        page = {"Origin": origin, "Sec-Fetch-Site": "cross-site"}
        answered = allowing.put("/v1/products/1", json={}, headers=page)
        assert answered.status_code in (200, 201)
        assert answered.headers["Access-Control-Allow-Origin"] == origin
        assert "X-Request-Id" in answered.headers["Access-Control-Expose-Headers"]
    for origin in (
        "https://evil.example",
        "https://shop.example.evil.example",
        "http://shop.example",
    ):
        refused = allowing.put("/v1/products/1", json={}, headers={"Origin": origin})
        assert_refused(refused, 403, "cross-site-request")
        assert "Access-Control-Allow-Origin" not in refused.headers


def test_a_page_may_send_a_key_where_its_origin_is_allowed(
    shop: Shop, locked: FlaskClient, token: Callable[[Scope], str]
) -> None:
    allowing = app_with(shop.services, require_keys=True, cors_origins=(SHOP,)).test_client()
    asked = PREFLIGHT | {"Access-Control-Request-Headers": "authorization, content-type"}
    told = allowing.options("/v1/products/1", headers=asked)
    assert told.status_code == 200
    assert told.headers["Access-Control-Allow-Origin"] == SHOP
    assert "PUT" in told.headers["Access-Control-Allow-Methods"]
    assert told.headers["Access-Control-Allow-Headers"].lower() == "authorization, content-type"
    key = bearer(token(Scope.READ)) | {"Origin": SHOP}
    assert allowing.get("/v1/status", headers=key).headers["Access-Control-Allow-Origin"] == SHOP
    without = allowing.get("/v1/status", headers={"Origin": SHOP})
    assert without.status_code == 401
    assert without.headers["Access-Control-Allow-Origin"] == SHOP, "or the page could not read why"


def test_a_page_may_send_and_read_the_headers_of_this_api(shop: Shop) -> None:
    allowing = app_with(shop.services, cors_origins=(SHOP,)).test_client()
    sent = "idempotency-key, if-match, if-none-match, x-api-key, x-request-id"
    told = allowing.options(
        "/v1/products/1", headers=PREFLIGHT | {"Access-Control-Request-Headers": sent}
    )
    assert told.headers["Access-Control-Allow-Headers"].lower() == sent
    page = {"Origin": SHOP, "Idempotency-Key": "k"}
    for _ in range(2):
        answered = allowing.put("/v1/products/1", json={}, headers=page)
    assert answered.headers["Idempotency-Replayed"] == "true"
    readable = set(answered.headers["Access-Control-Expose-Headers"].split(", "))
    assert {"ETag", "Idempotency-Replayed", "RateLimit", "Retry-After", "Location"} <= readable


def test_without_the_setting_no_page_is_told_that_it_may_ask(
    client: FlaskClient, locked: FlaskClient
) -> None:
    for each in (client, locked):
        told = each.options("/v1/products/1", headers=PREFLIGHT)
        assert not [name for name, _ in told.headers if name.startswith("Access-Control")]


@pytest.mark.parametrize(
    "origin", ["*", "shop.example", "https://shop.example/", "https://*.example"]
)
def test_an_origin_that_is_none_is_refused_at_the_start(settings: Settings, origin: str) -> None:
    with pytest.raises(ConfigurationError, match="must be origins"):
        read_settings(_env_file=None, cors_origins=(origin,))
