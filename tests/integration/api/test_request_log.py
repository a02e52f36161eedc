"""The line of a request says who asked, by which address, and by which id it is found again."""

from __future__ import annotations

import io
import json
import sys

import pytest
import structlog
from support.keys import app_with
from support.shop import Shop

from backend import logs


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch, usual_logs: None) -> io.StringIO:
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    logs.configure("info")
    return stream


@pytest.mark.parametrize(("proxies", "client"), [(0, "10.0.0.9"), (1, "192.0.2.7")])
def test_every_line_of_a_request_has_its_client_and_its_id(
    shop: Shop, written: io.StringIO, proxies: int, client: str
) -> None:
    app = app_with(shop.services, proxies=proxies, require_keys=False)
    headers = {"X-Request-Id": "r-1", "X-Forwarded-For": "192.0.2.7"}
    app.test_client().get(
        "/v1/products/nobody", headers=headers, environ_base={"REMOTE_ADDR": "10.0.0.9"}
    )
    (line,) = map(json.loads, written.getvalue().splitlines())
    assert (line["client"], line["request_id"], line["status"]) == (client, "r-1", 404)


def test_a_scrape_and_a_probe_leave_no_line(shop: Shop, written: io.StringIO) -> None:
    for path in ("/livez", "/readyz", "/metrics"):
        assert shop.client.get(path).status_code == 200
    assert written.getvalue() == ""


def test_what_is_logged_after_a_request_is_not_of_it(shop: Shop, written: io.StringIO) -> None:
    shop.client.get("/v1/products/nobody")
    structlog.get_logger(__name__).info("later")
    *_, line = map(json.loads, written.getvalue().splitlines())
    assert line["event"] == "later"
    assert not line.keys() & {"request_id", "client", "key", "filter"}
