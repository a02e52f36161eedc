"""Which node of a server is asked: silent ones are skipped, and one that is back is used."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import numpy as np
import pytest
from grpc import StatusCode
from qdrant_client import grpc as pb
from support.proxy import proxy
from support.qdrant_wire import LOCAL_MODE_WARNINGS, Wire
from support.servers import wait_for
from support.shop import QUICK, Shop

from backend.errors import ConfigurationError, IndexDegraded, IndexUnavailable
from backend.settings import Settings
from backend.vectors import Point
from backend.vectors.server import addresses, channel, nodes
from backend.vectors.server import index as server_index
from backend.vectors.server.index import ServerIndex

pytestmark = LOCAL_MODE_WARNINGS


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Deadlines that a test can wait for."""
    for place in (channel, server_index):
        monkeypatch.setattr(place, "READ_SECONDS", 1)


@pytest.fixture
def wire() -> Iterator[Wire]:
    made = Wire()
    yield made
    made.stop()


def index_at(*ports: int) -> ServerIndex:
    urls = ",".join(f"http://127.0.0.1:1?grpc_port={port}" for port in ports)
    found = nodes.of_urls(urls, api_key=None, grpc_port=2)
    return ServerIndex("products", size=4, schema={}, nodes=found)


def asked(wire: Wire) -> int:
    return sum(isinstance(request, pb.CountPoints) for request in wire.seen)


@pytest.mark.slow
def test_after_a_few_time_outs_calls_fail_at_once_and_one_that_is_back_is_used(
    wire: Wire, capsys: pytest.CaptureFixture[str]
) -> None:
    with proxy(wire.port) as between:
        index = index_at(between.port)
        assert index.count() == 0
        with between.silenced():
            for _ in range(nodes.TOLERATED + 1):
                with pytest.raises(IndexUnavailable, match="does not answer"):
                    index.count()
            for _ in range(20):
                with pytest.raises(IndexUnavailable, match="tried each second"):
                    index.count()
            assert index.collection.nodes.problem()
            assert capsys.readouterr().out.count("an outage began") == 1
        assert wait_for(lambda: answers(index))
        assert index.collection.nodes.problem() is None
        assert capsys.readouterr().out.count("an outage ended") == 1
        index.collection.nodes.close()


def answers(index: ServerIndex) -> bool:
    try:
        index.count()
    except IndexUnavailable:
        return False
    return True


@pytest.mark.slow
def test_a_server_that_is_left_alone_is_named_by_readyz_and_counted_by_the_metrics(
    settings: Settings, wire: Wire
) -> None:
    with proxy(wire.port) as between:
        found = {"qdrant_url": "http://127.0.0.1:1", "qdrant_grpc_port": between.port}
        with Shop(settings, **found, **QUICK) as shop:
            shop.put("1", "red")
            shop.work()
            with between.away():
                for _ in range(nodes.TOLERATED + 1):
                    refused = shop.client.get("/v1/products/1/similar")
                    assert (refused.status_code, refused.json["code"]) == (503, "index-unavailable")
                    assert refused.headers["Retry-After"]
                shown = shop.client.get("/metrics").text
                assert 'lookalike_store_available{store="index"} 0.0' in shown
                assert 'lookalike_store_available{store="database"} 1.0' in shown
                ready = shop.client.get("/readyz")
                assert ready.status_code == 503
                assert "does not answer" in ready.json["checks"]["index"]
                assert shop.client.get("/v1/products/1").status_code == 200
            assert wait_for(lambda: shop.services.store_problems()["index"] is None)
            assert shop.client.get("/v1/products/1/similar").status_code == 200
            assert shop.client.get("/readyz").json["checks"]["index"] == "ok"


def test_a_server_that_comes_back_after_a_long_time_is_used_at_once(wire: Wire) -> None:
    """The channel's own pauses between two tries to connect stay short."""
    with proxy(wire.port) as between:
        index = index_at(between.port)
        index.ping()
        with between.away():
            for _ in range(6):
                assert not answers(index)
        assert wait_for(lambda: answers(index))
        index.collection.nodes.close()


def test_a_dead_node_costs_one_try_of_one_call(wire: Wire) -> None:
    with ExitStack() as stack:
        ends = [stack.enter_context(proxy(wire.port)) for _ in range(3)]
        index = index_at(*[end.port for end in ends])
        index.ping()
        ends[1].stop()
        for _ in range(30):
            assert index.count() == 0
        states = index.collection.nodes.states()
        assert [reason is None for reason in states.values()] == [True, False, True]
        assert index.collection.nodes.problem() is None
        ends[1].start()
        assert wait_for(lambda: all_answer(index))
        index.collection.nodes.close()


def all_answer(index: ServerIndex) -> bool:
    index.count()
    return not any(index.collection.nodes.states().values())


def test_a_silent_node_is_left_alone_and_the_others_answer(wire: Wire) -> None:
    with proxy(wire.port) as one, proxy(wire.port) as other:
        index = index_at(one.port, other.port)
        index.ping()
        with one.silenced():
            before = asked(wire)
            for _ in range(10):
                assert index.count() == 0
            assert asked(wire) - before == 10
        assert wait_for(lambda: all_answer(index))
        index.collection.nodes.close()


def test_a_write_goes_to_another_node_only_if_it_did_not_begin(
    wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    point = Point(id=1, vector=np.ones(4, dtype=np.float32), payload={}, claim=1)
    with proxy(wire.port) as one, proxy(wire.port) as other:
        index = index_at(one.port, other.port)
        index.ping()
        one.stop()
        for _ in range(4):
            index.upsert([point])
        assert index.count() == 1
        index.collection.nodes.close()


@pytest.mark.parametrize(
    "details",
    [
        "Cannot update shard c:0 with Medium ordering because no leader could be selected",
        "Failed to apply operation to at least one `Active` replica.",
    ],
    ids=["leader", "active"],
)
def test_a_cluster_that_lacks_replicas_is_told_apart_from_an_outage(
    wire: Wire, details: str
) -> None:
    index = index_at(wire.port)
    index.ping()
    for _ in range(nodes.TOLERATED + 2):
        wire.fail(StatusCode.INTERNAL, details=details)
        with pytest.raises(IndexDegraded, match="lacks replicas"):
            index.delete({1: 1})
    assert index.count() == 0
    assert index.collection.nodes.problem() is None
    index.collection.nodes.close()


def test_a_wrong_key_names_its_setting(wire: Wire) -> None:
    index = index_at(wire.port)
    wire.fail(StatusCode.UNAUTHENTICATED, details="Invalid API key")
    with pytest.raises(ConfigurationError, match=r"QDRANT_API_KEY.*Invalid API key"):
        index.collection.check()
    index.collection.nodes.close()


# --- addresses ------------------------------------------------------------------------------


@pytest.fixture
def records(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    """What names resolve to."""
    found: dict[str, list[str]] = {}

    def resolve(name: str, *_: Any, **__: Any) -> list[Any]:
        if name not in found:
            raise socket.gaierror
        return [
            (
                socket.AF_INET6 if ":" in one else socket.AF_INET,
                socket.SOCK_STREAM,
                6,
                "",
                (one, 0),
            )
            for one in found[name]
        ]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    return found


def test_each_record_of_a_name_is_a_node(records: dict[str, list[str]]) -> None:
    records["qdrant"] = ["10.0.0.2", "10.0.0.1", "fd00::1", "fd00::2"]
    found = addresses.find("https://qdrant:6333", grpc_port=6334)
    assert [str(one) for one in found] == ["10.0.0.1:6334", "10.0.0.2:6334"]
    assert {(one.name, one.is_tls) for one in found} == {("qdrant", True)}


def test_one_host_with_a_record_of_each_family_stays_a_name(records: dict[str, list[str]]) -> None:
    records["localhost"] = ["127.0.0.1", "::1"]
    found = addresses.find("http://localhost:6333", grpc_port=6334)
    assert [str(one) for one in found] == ["localhost:6334"]


def test_a_list_has_a_node_for_each_address(records: dict[str, list[str]]) -> None:
    found = addresses.find("http://a:6333, http://b:7000?grpc_port=7001,c", grpc_port=6334)
    assert [str(one) for one in found] == ["a:6334", "b:7001", "c:6334"]
    assert [one.url for one in found] == ["http://a:6333", "http://b:7000", "http://c:6333"]


@pytest.mark.parametrize("url", ["ftp://a", "http://a:port", "http://"])
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError, match="QDRANT_URL"):
        addresses.find(url, grpc_port=6334)


def test_nodes_that_a_name_gains_are_asked_and_those_that_it_loses_are_not(
    wire: Wire, records: dict[str, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nodes, "FIND_SECONDS", 0)
    records["qdrant"] = ["127.0.0.2", "127.0.0.3"]  # nobody listens there
    found = nodes.of_urls("http://qdrant:6333", api_key=None, grpc_port=wire.port)
    index = ServerIndex("products", size=4, schema={}, nodes=found)
    assert not answers(index)
    records["qdrant"] = ["127.0.0.2", "127.0.0.1"]
    assert wait_for(lambda: answers(index))
    assert set(found.states()) == {
        f"the Qdrant server at {host}:{wire.port}" for host in ("127.0.0.1", "127.0.0.2")
    }
    found.close()
