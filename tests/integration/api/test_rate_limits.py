"""Who asks too often has to wait: with unknown keys, or, where the settings say so, with any."""

from __future__ import annotations

import itertools
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import event
from support.keys import UNKNOWN, app_with, bearer
from support.servers import free_port, redis_server
from support.shop import PROBLEM, Shop

from backend.access.scope import Scope
from backend.api import problems
from backend.api.rate_limits import RateLimits
from backend.api.scopes import PUBLIC, requires_scope
from backend.errors import ConfigurationError, InvalidKey
from backend.metrics.instruments import REGISTRY
from backend.settings import Settings, read_settings

READ, INGEST, _ = Scope


@pytest.fixture
def queries(shop: Shop) -> Iterator[list[str]]:
    """The statements about keys."""
    seen: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if "api_keys" in statement:
            seen.append(statement)

    event.listen(shop.services.db.engine, "before_cursor_execute", note)
    yield seen
    event.remove(shop.services.db.engine, "before_cursor_execute", note)


def unknown_keys() -> Iterator[dict[str, str]]:
    for number in itertools.count():
        yield bearer(f"lk_{number:012x}_{'f' * 64}")


def test_a_flood_of_unknown_keys_costs_a_few_queries_and_then_429(
    shop: Shop, locked: FlaskClient, token: Callable[[Scope], str], queries: list[str]
) -> None:
    client = app_with(shop.services, require_keys=True, key_attempts="3/minute").test_client()
    good = bearer(token(READ))
    assert client.get("/v1/status", headers=good).status_code == 200
    queries.clear()
    sent = unknown_keys()
    answers = [client.get("/v1/status", headers=next(sent)) for _ in range(10)]
    assert [answer.status_code for answer in answers] == [401] * 3 + [429] * 7
    assert len(queries) == 4, "each attempt, and once: which keys are live"
    refused = answers[-1]
    assert (refused.content_type, refused.json["code"]) == (PROBLEM, "too-many-attempts")
    assert 0 < int(refused.headers["Retry-After"]) <= 60
    assert client.get("/v1/status", headers=good).status_code == 200, "who was in stays in"
    new = bearer(token(INGEST))
    fresh = app_with(shop.services, require_keys=True, key_attempts="1/minute").test_client()
    keys = (next(sent), next(sent), new)
    statuses = [fresh.get("/v1/status", headers=headers).status_code for headers in keys]
    assert statuses == [401, 429, 200], "a right key is never locked out"
    elsewhere = {"REMOTE_ADDR": "192.0.2.1"}
    other = client.get("/v1/status", headers=next(sent), environ_base=elsewhere)
    assert other.status_code == 401
    assert client.get("/livez").status_code == 200


def test_one_client_with_an_old_key_does_not_use_up_the_attempts(
    shop: Shop, locked: FlaskClient, token: Callable[[Scope], str]
) -> None:
    client = app_with(shop.services, require_keys=True, key_attempts="3/minute").test_client()
    for _ in range(10):
        assert client.get("/v1/status", headers=bearer(UNKNOWN)).status_code == 401
    assert client.get("/v1/status", headers=bearer(token(READ))).status_code == 200


def test_the_hosts_of_an_ipv6_network_count_as_one(shop: Shop, locked: FlaskClient) -> None:
    client = app_with(shop.services, require_keys=True, key_attempts="2/minute").test_client()
    sent = unknown_keys()
    statuses = [
        client.get(
            "/v1/status", headers=next(sent), environ_base={"REMOTE_ADDR": address}
        ).status_code
        for address in ("2001:db8::1", "2001:db8::2", "2001:db8::3", "2001:db8:0:1::1")
    ]
    assert statuses == [401, 401, 429, 401]


def test_requests_are_not_limited_unless_the_settings_say_so(client: FlaskClient) -> None:
    assert {client.get("/v1/products").status_code for _ in range(60)} == {200}


def test_each_key_has_a_limit_of_its_own(
    shop: Shop, locked: FlaskClient, token: Callable[[Scope], str]
) -> None:
    client = app_with(shop.services, require_keys=True, rate_limit="2/minute").test_client()
    urls = ("/v1/status", "/v1/products", "/v1/facets")
    answers = [client.get(url, headers=bearer(token(READ))) for url in urls]
    assert [answer.status_code for answer in answers[:2]] == [200, 200]
    refused = answers[2]
    assert (refused.status_code, refused.content_type) == (429, PROBLEM)
    assert refused.json["code"] == "too-many-requests"
    assert "2 per 1 minute" in refused.json["detail"]
    assert 0 < int(refused.headers["Retry-After"]) <= 61
    assert client.get("/v1/status", headers=bearer(token(INGEST))).status_code == 200
    assert {client.get("/livez").status_code for _ in range(5)} == {200}


def test_without_keys_each_address_has_a_limit_of_its_own(shop: Shop) -> None:
    client = app_with(shop.services, rate_limit="1/minute").test_client()
    assert [client.get("/v1/status").status_code for _ in range(2)] == [200, 429]
    elsewhere = {"REMOTE_ADDR": "192.0.2.1"}
    assert client.get("/v1/status", environ_base=elsewhere).status_code == 200


@pytest.mark.parametrize(("proxies", "second"), [(0, 429), (1, 200)])
def test_the_address_behind_a_proxy_is_the_clients_if_there_is_a_proxy(
    shop: Shop, proxies: int, second: int
) -> None:
    app = app_with(shop.services, rate_limit="1/minute", proxies=proxies, require_keys=False)
    statuses = [
        app.test_client().get("/v1/status", headers={"X-Forwarded-For": address}).status_code
        for address in ("192.0.2.1", "192.0.2.2")
    ]
    assert statuses == [200, second]


def test_answers_say_what_is_left(shop: Shop) -> None:
    client = app_with(shop.services, rate_limit="2/minute;9/2 hours").test_client()
    answers = [client.get(url) for url in ("/v1/status", "/v1/products", "/v1/facets")]
    policies = '"2-per-minute";q=2;w=60, "9-per-2-hour";q=9;w=7200'
    assert {it.headers["RateLimit-Policy"] for it in answers} == {policies}
    pattern = r'"2-per-minute";r=(\d);t=\d\d?, "9-per-2-hour";r=(\d);t=\d+'
    left = [re.fullmatch(pattern, it.headers["RateLimit"]) for it in answers[:2]]
    assert [it and it.groups() for it in left] == [("1", "8"), ("0", "7")]
    assert answers[2].status_code == 429
    assert answers[2].headers["RateLimit"].startswith('"2-per-minute";r=0;t=')
    assert "RateLimit" not in client.get("/livez").headers


@pytest.mark.parametrize("hours", [-1, 1])
def test_a_clock_that_is_set_makes_nobody_wait_longer(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, hours: int
) -> None:
    client = app_with(shop.services, rate_limit="2/second").test_client()
    assert [client.get("/v1/status").status_code for _ in range(3)] == [200, 200, 429]
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + 3600 * hours)
    refused = client.get("/v1/status")
    assert refused.status_code == 200 or refused.headers["Retry-After"] == "1"
    time.sleep(1.1)
    assert client.get("/v1/status").status_code == 200


def test_without_a_limit_no_answer_speaks_of_one(client: FlaskClient) -> None:
    assert "RateLimit" not in client.get("/v1/status").headers


def counting_app(url: str, **changes: Any) -> FlaskClient:
    """An app of two views, /guess and /ask, that counts in a Redis."""
    settings = read_settings(
        _env_file=None,
        database_url="postgresql://nowhere/shop",
        image_store="s3://nowhere/images",
        broker_url=url,
        key_attempts="2/minute",
        rate_limit="2/minute",
        **changes,
    )
    app, limits = Flask(__name__), RateLimits(settings)
    problems.register_error_handlers(app)
    limits.register(app)

    @app.get("/guess")
    @requires_scope(PUBLIC)
    def guess() -> None:
        with limits.attempt():
            raise InvalidKey

    @app.get("/ask")
    @requires_scope(READ)
    def ask() -> str:
        return "found"

    return app.test_client()


def test_the_processes_of_one_installation_count_together_while_redis_answers(
    tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []
    with redis_server(tmp_path / "redis") as server:
        one, other = counting_app(server.url), counting_app(server.url)
        assert [app.get("/guess").status_code for app in (one, one, other)] == [401, 401, 429]
        assert [app.get("/ask").status_code for app in (one, one, other)] == [200, 200, 429]
        server.kill(lose_data=True)
        monkeypatch.setattr("redis.retry.sleep", pauses.append)
        guesses = [one.get("/guess").status_code for _ in range(3)]
        assert guesses == [401, 401, 429], "it counts for itself"
        before = unshared("local")
        for app in (one, other):
            statuses = [app.get("/ask").status_code for _ in range(3)]
            assert statuses == [200, 200, 429], "each counts for itself"
        assert unshared("local") == before + 6
    assert pauses == [], "no request waits for a dead Redis"


def unshared(decision: str) -> float:
    name = "lookalike_rate_limit_unshared_total"
    return REGISTRY.get_sample_value(name, {"decision": decision}) or 0.0


@pytest.mark.parametrize(("decision", "status"), [("open", 200), ("closed", 503)])
def test_the_settings_say_what_a_dead_redis_means(decision: str, status: int) -> None:
    app = counting_app(f"redis://127.0.0.1:{free_port()}/0", rate_limit_without_redis=decision)
    before = unshared(decision)
    answers = [app.get("/ask") for _ in range(4)]
    assert [it.status_code for it in answers] == [status] * 4
    assert unshared(decision) == before + 4
    if status == 503:
        assert answers[0].json["code"] == "rate-limits-unavailable"
        assert int(answers[0].headers["Retry-After"]) > 0
    assert app.get("/guess").status_code == 401, "what is public is answered"


@pytest.mark.parametrize("name", ["rate_limit", "key_attempts"])
@pytest.mark.parametrize("value", ["", "many", "5/fortnight", "minute"])
def test_a_limit_that_is_none_is_refused_at_the_start(
    settings: Settings, name: str, value: str
) -> None:
    with pytest.raises(
        ConfigurationError, match=f"LOOKALIKE_{name.upper()}=.*must be such as 50/second"
    ):
        read_settings(_env_file=None, **{name: value})
