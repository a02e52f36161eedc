"""Two installations on the same servers: neither sees or deletes what is the other's."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from sqlalchemy import text
from support.qdrant_wire import LOCAL_MODE_WARNINGS, Wire
from support.servers import RedisServer, migrated, redis_server
from support.shop import QUICK, Shop

from backend.database.engine import Database
from backend.settings import Settings
from workers.app import check_broker, make_app
from workers.notifier import Notifier

pytestmark = LOCAL_MODE_WARNINGS


@pytest.fixture
def wire() -> Iterator[Wire]:
    made = Wire()
    yield made
    made.stop()


@pytest.fixture
def shops(settings: Settings, wire: Wire, pg_url: str, tmp_path: Path) -> Iterator[list[Shop]]:
    """One with a namespace and one without."""
    with ExitStack() as stack:
        found = []
        for name in ("one", None):
            own = {
                **QUICK,
                "namespace": name,
                "data_dir": tmp_path / str(name),
                "database_url": pg_url,
                "image_store": f"file://{tmp_path}/images",
                "qdrant_url": "http://127.0.0.1:1",
                "qdrant_grpc_port": wire.port,
            }
            migrated(settings.model_copy(update=own).database)
            found.append(stack.enter_context(Shop(settings, **own)))
        yield found


def test_installations_share_a_database_a_qdrant_server_and_a_store(
    shops: list[Shop], wire: Wire
) -> None:
    for number, shop in enumerate(shops):
        shop.put("1", ("red", "green")[number])
        shop.put_image("2", f"image {number}".encode())
        shop.work()
    assert [shop.progress().indexed for shop in shops] == [1, 1]
    names = {it.name for it in wire.local.get_collections().collections}
    assert {name.partition("lookalike")[0] for name in names} == {"one-", ""}
    for shop in shops:
        assert shop.repair(full=True)["drift"] == 0
    one, *others = shops
    one.remove("1", "2")
    one.work()
    one.services.indexes.drop(one.generation)
    assert [shop.repair(full=True)["drift"] for shop in others] == [0]
    assert [shop.index.count() for shop in others] == [1]
    assert {it.name for it in wire.local.get_collections().collections} < names


def test_each_has_its_own_tables(shops: list[Shop], pg_url: str) -> None:
    shops[0].put("only here")
    assert [shop.progress().products for shop in shops] == [1, 0]
    db = Database(pg_url)
    with db.read() as session:
        found = session.scalars(
            text("SELECT table_schema FROM information_schema.tables WHERE table_name='products'")
        )
        assert set(found) == {"one", "public"}
    db.close()


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    with redis_server(tmp_path / "redis") as found:
        yield found


def test_each_has_its_own_queue(settings: Settings, redis: RedisServer) -> None:
    for name, count in (("one", 2), ("two", 1)):
        own = settings.model_copy(update={"broker_url": redis.url, "namespace": name})
        app = make_app(own)
        assert check_broker(app) is None
        for _ in range(count):
            Notifier(app, own)()
    assert [redis.client.llen(f"{name}:index") for name in ("one", "two")] == [2, 1]
    assert not [key for key in redis.client.keys("*") if not key.startswith((b"one:", b"two:"))]
