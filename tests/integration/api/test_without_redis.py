"""What an API process says and answers while Redis is away: all but shoppers' images goes on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from support.servers import RedisServer, redis_server, wait_for
from support.shop import Shop

from backend.api import create_app
from backend.settings import Settings
from workers import services as distributed

AWAY = 'lookalike_store_available{store="broker"} 0.0'


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    with redis_server(tmp_path / "redis") as found:
        yield found


def client_of(shop: Shop) -> FlaskClient:
    """Return a client of the app that `serve` makes beside workers."""
    probes = distributed.make_probes(shop.settings)
    optional = distributed.optional_probes(shop.settings)
    return create_app(shop.services, probes=probes, optional=optional).test_client()


@pytest.mark.slow
def test_a_process_is_ready_without_redis_and_says_so(
    settings: Settings, redis: RedisServer
) -> None:
    with Shop(settings, broker_url=redis.url, ready_without_redis=True) as shop:
        shop.put("1", "red")
        shop.put("2", "red")
        shop.work()
        client = client_of(shop)
        assert client.get("/readyz").json["degraded"] == []
        assert AWAY not in client.get("/metrics").text
        redis.kill(lose_data=False)
        ready = client.get("/readyz")
        assert (ready.status_code, ready.json["degraded"]) == (200, ["broker"])
        assert ready.json["checks"]["broker"] == "does not answer"
        assert wait_for(lambda: AWAY in client.get("/metrics").text)  # it is read once in a while
        assert len(client.get("/v1/products/1/similar").json["items"]) == 1
        redis.start()
        assert wait_for(lambda: client.get("/readyz").json["degraded"] == [])
        assert wait_for(lambda: AWAY not in client.get("/metrics").text)


def test_it_is_not_ready_unless_a_setting_says_so(settings: Settings, redis: RedisServer) -> None:
    with Shop(settings, broker_url=redis.url) as shop:
        client = client_of(shop)
        redis.kill(lose_data=False)
        down = client.get("/readyz")
        assert (down.status_code, down.json["degraded"]) == (503, [])
        assert "broker: does not answer" in down.json["detail"]


def test_a_process_that_refuses_everything_without_redis_is_not_ready(
    settings: Settings, redis: RedisServer
) -> None:
    limits = {"rate_limit": "100/second", "rate_limit_without_redis": "closed"}
    limits["ready_without_redis"] = True
    with Shop(settings, broker_url=redis.url, **limits) as shop:
        client = client_of(shop)
        redis.kill(lose_data=False)
        assert client.get("/v1/status").json["code"] == "rate-limits-unavailable"
        down = client.get("/readyz")
        assert (down.status_code, down.json["degraded"]) == (503, [])
        assert "broker: does not answer" in down.json["detail"]
