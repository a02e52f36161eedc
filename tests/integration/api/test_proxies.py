"""Behind proxies: who asks, and at which address the API is reached."""

from __future__ import annotations

import pytest
from flask.testing import FlaskClient
from support.keys import app_with
from support.shop import Shop

FORWARDED = {
    "X-Forwarded-Proto": "https",
    "X-Forwarded-Host": "shop.example.com",
    "X-Forwarded-Prefix": "/lookalike",
}


@pytest.fixture
def behind(shop: Shop) -> FlaskClient:
    """A client of an app that one proxy stands before."""
    return app_with(shop.services, proxies=1, require_keys=False).test_client()


@pytest.mark.parametrize("left", ["", "/lookalike"], ids=["taken", "left"])
def test_links_lead_back_through_the_proxy_whether_or_not_it_leaves_the_prefix(
    behind: FlaskClient, left: str
) -> None:
    sku = "shirts%2Fnavy blue"
    stored = behind.put(f"{left}/v1/products/{sku}", json={"price": 1}, headers=FORWARDED)
    assert stored.status_code == 201
    assert stored.json["sku"] == "shirts/navy blue"
    where = stored.headers["Location"]
    assert where == "/lookalike/v1/products/shirts%2Fnavy%20blue"
    again = behind.get(left + where.removeprefix("/lookalike"), headers=FORWARDED)
    assert again.json["sku"] == "shirts/navy blue"
    asked = behind.post(f"{left}/v1/admin/reindex", json={"force": True}, headers=FORWARDED)
    assert asked.status_code == 202
    assert asked.headers["Location"].startswith("/lookalike/v1/admin/jobs/")


@pytest.mark.parametrize("path", ["/openapi.json", "/docs/openapi.json"])
def test_the_description_names_the_address_that_clients_use(behind: FlaskClient, path: str) -> None:
    described = behind.get(path, headers=FORWARDED).json
    assert described["servers"] == [{"url": "https://shop.example.com/lookalike"}]
    moved = behind.get("/docs", headers=FORWARDED).headers["Location"]
    assert moved == "https://shop.example.com/lookalike/docs/"


def test_without_proxies_no_header_is_believed(shop: Shop) -> None:
    stored = shop.client.put("/v1/products/1", json={}, headers=FORWARDED)
    assert stored.headers["Location"] == "/v1/products/1"
    assert "servers" not in shop.client.get("/openapi.json", headers=FORWARDED).json
    assert shop.client.get("/lookalike/v1/status", headers=FORWARDED).status_code == 404


def test_only_the_values_of_our_own_proxies_count(shop: Shop) -> None:
    app = app_with(shop.services, proxies=2, require_keys=False)
    sent = {
        "X-Forwarded-Host": "evil.example, shop.example.com, internal",
        "X-Forwarded-Proto": "https, https, http",
        "X-Forwarded-Prefix": "/evil, /a, /b",
    }
    described = app.test_client().get("/openapi.json", headers=sent).json
    assert described["servers"] == [{"url": "https://shop.example.com/a"}]


@pytest.mark.parametrize("prefix", ["//evil.example", "/evil.example/", "evil.example"])
def test_a_prefix_leads_to_no_other_host(behind: FlaskClient, prefix: str) -> None:
    stored = behind.put("/v1/products/1", json={}, headers={"X-Forwarded-Prefix": prefix})
    assert stored.headers["Location"] == "/evil.example/v1/products/1"


def test_a_prefix_that_looks_like_a_path_of_ours_is_told_from_it(behind: FlaskClient) -> None:
    headers = {"X-Forwarded-Prefix": "/v1"}
    for path in ("/v1/status", "/v1/v1/status"):
        assert behind.get(path, headers=headers).status_code == 200, path
