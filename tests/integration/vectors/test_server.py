"""The server's adapter: how it makes a collection, what it asks for, and what errors mean."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import numpy as np
import pytest
from grpc import StatusCode
from qdrant_client import QdrantClient
from qdrant_client import grpc as pb
from support.qdrant_wire import LOCAL_MODE_WARNINGS, Wire

from backend.errors import (
    ConfigurationError,
    IndexGone,
    IndexUnavailable,
    InvalidFilter,
    LookalikeError,
)
from backend.filters import Condition, FieldType
from backend.vectors import Point, SearchMode
from backend.vectors.server import addresses, channel, nodes
from backend.vectors.server.collection import ServerOptions, ensure_collection, point_alias
from backend.vectors.server.index import ServerIndex
from backend.vectors.server.nodes import Nodes

SCHEMA: dict[str, FieldType] = {"gender": "keyword", "attributes.a b": "keyword"}
ONES = np.ones(4, dtype=np.float32)

pytestmark = LOCAL_MODE_WARNINGS


@pytest.fixture
def wire() -> Iterator[Wire]:
    """A listening server with nothing in it."""
    made = Wire()
    yield made
    made.stop()


@pytest.fixture
def index(wire: Wire) -> Iterator[ServerIndex]:
    """An index on it that was not opened yet."""
    made = an_index(wire)
    yield made
    made.close()


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long it was waited before further tries, instead of waiting."""
    waited: list[float] = []
    monkeypatch.setattr(nodes.time, "sleep", waited.append)
    return waited


def an_index(wire: Wire, *, size: int = 4, **options: Any) -> ServerIndex:
    schema = options.pop("schema", SCHEMA)
    return ServerIndex(
        "products",
        size=size,
        schema=schema,
        nodes=Nodes.single(wire.connect),
        options=ServerOptions(**options),
    )


def a_point(id: int, **payload: object) -> Point:
    return Point(id=id, vector=ONES, payload=payload, claim=1)


def seen(wire: Wire, kind: Any) -> list[Any]:
    """The requests of a kind."""
    return [request for request in wire.seen if isinstance(request, kind)]


# --- the collection -------------------------------------------------------------------------


def test_nothing_is_asked_before_the_first_call(wire: Wire, index: ServerIndex) -> None:
    assert wire.seen == []
    index.ping()
    assert wire.local.collection_exists("products")


def test_a_collection_is_made_with_its_layout_and_indexes_before_any_point(wire: Wire) -> None:
    index = an_index(
        wire,
        on_disk=True,
        quantization="int8",
        shard_number=3,
        replication_factor=2,
        hnsw_m=24,
        hnsw_ef_construct=200,
    )
    index.upsert([a_point(1)])
    index.close()
    kinds = [type(request) for request in wire.seen]
    assert kinds == [
        pb.CollectionExistsRequest,
        pb.CreateCollection,
        pb.GetCollectionInfoRequest,
        *[pb.CreateFieldIndexCollection] * 4,
        pb.UpsertPoints,
    ]
    [made] = seen(wire, pb.CreateCollection)
    vectors = made.vectors_config.params
    assert (vectors.size, vectors.distance, vectors.on_disk) == (4, pb.Distance.Cosine, True)
    assert made.on_disk_payload
    assert made.quantization_config.scalar.always_ram
    assert (made.shard_number, made.replication_factor) == (3, 2)
    assert (made.hnsw_config.m, made.hnsw_config.ef_construct) == (24, 200)
    assert {
        (it.field_name, it.field_type, it.wait) for it in seen(wire, pb.CreateFieldIndexCollection)
    } == {
        ("gender", pb.FieldType.FieldTypeKeyword, True),
        ('attributes."a b"', pb.FieldType.FieldTypeKeyword, True),
        ("claim", pb.FieldType.FieldTypeInteger, True),
        ("slot", pb.FieldType.FieldTypeInteger, True),
    }


def test_what_is_not_asked_for_is_left_to_the_server(wire: Wire, index: ServerIndex) -> None:
    index.ping()
    [made] = seen(wire, pb.CreateCollection)
    for field in ("quantization_config", "shard_number", "replication_factor"):
        assert not made.HasField(field)
    assert not made.hnsw_config.HasField("m")


def test_a_collection_that_is_there_only_gets_the_indexes_it_lacks(wire: Wire) -> None:
    an_index(wire).ping()
    wire.seen.clear()
    an_index(wire).ping()
    assert not seen(wire, pb.CreateCollection)
    assert not seen(wire, pb.CreateFieldIndexCollection)
    an_index(wire, schema={**SCHEMA, "year": "integer"}).ping()
    assert [it.field_name for it in seen(wire, pb.CreateFieldIndexCollection)] == ["year"]


def test_processes_that_make_the_collection_at_once_all_get_it(wire: Wire) -> None:
    start = threading.Barrier(4)

    def open_one(number: int) -> None:
        index = an_index(wire)
        start.wait()
        index.upsert([a_point(number)])
        index.close()

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(open_one, range(4)))
    assert wire.local.count("products").count == 4


def test_a_collection_that_another_process_made_a_moment_earlier_is_used(wire: Wire) -> None:
    class Slower(QdrantClient):
        def create_collection(self, *args: Any, **options: Any) -> bool:
            super().create_collection(*args, **options)  # the other process
            return super().create_collection(*args, **options)

    def connect() -> QdrantClient:
        options = {"grpc_port": wire.port, "prefer_grpc": True, "check_compatibility": False}
        return Slower(url="http://127.0.0.1:1", **options)

    index = ServerIndex("products", size=4, schema=SCHEMA, nodes=Nodes.single(connect))
    index.upsert([a_point(1)])
    assert index.count() == 1
    index.close()


def test_a_layout_that_the_server_refuses_is_a_wrong_setting(
    wire: Wire, index: ServerIndex
) -> None:
    wire.fail(None, StatusCode.INVALID_ARGUMENT, details="too many replicas")
    with pytest.raises(ConfigurationError, match="too many replicas"):
        index.ping()


def test_a_collection_for_other_vectors_is_refused(wire: Wire, index: ServerIndex) -> None:
    index.ping()
    with pytest.raises(ConfigurationError, match="products"):
        an_index(wire, size=5).ping()


def test_a_dropped_collection_is_gone_and_not_made_again(wire: Wire, index: ServerIndex) -> None:
    index.upsert([a_point(1)])
    wire.local.delete_collection("products")
    for use in (
        index.count,
        index.ping,
        lambda: index.upsert([a_point(2)]),
        lambda: index.nearest(ONES, limit=1),
    ):
        with pytest.raises(IndexGone):
            use()
    assert not wire.local.collection_exists("products")


def test_a_forked_child_connects_anew(monkeypatch: pytest.MonkeyPatch, wire: Wire) -> None:
    clients: list[QdrantClient] = []

    def connect() -> QdrantClient:
        clients.append(wire.connect())
        return clients[-1]

    index = ServerIndex("products", size=4, schema=SCHEMA, nodes=Nodes.single(connect))
    index.upsert([a_point(1)])
    assert index.count() == len(clients) == 1
    parent = os.getpid()
    monkeypatch.setattr(os, "getpid", lambda: parent + 1)
    assert index.count() == 1
    index.close()
    assert len(clients) == 2
    assert clients[0].count("products").count == 1, "the parent's own is left open"
    assert len(seen(wire, pb.CollectionExistsRequest)) == 1


# --- what is asked for ----------------------------------------------------------------------


def test_writes_are_conditional_ordered_and_waited_for(wire: Wire, index: ServerIndex) -> None:
    index.upsert([a_point(1)])
    index.set_payload(1, {"gender": "Men"})
    index.delete({1: 7})
    kinds = (pb.UpsertPoints, pb.SetPayloadPoints, pb.DeletePoints)
    for request in seen(wire, kinds):
        assert request.wait
        assert request.ordering.type == pb.WriteOrderingType.Medium
    [upsert] = seen(wire, pb.UpsertPoints)
    assert upsert.update_filter.must[0].field.range.lt == 1
    [delete] = seen(wire, pb.DeletePoints)
    ids, claim = delete.points.filter.must
    assert [it.num for it in ids.has_id.has_id] == [1]
    assert claim.field.range.lte == 7


def test_a_graph_is_searched_as_its_filter_and_quantization_need(wire: Wire) -> None:
    index = an_index(wire)
    for mode in SearchMode:
        index.nearest(ONES, limit=1, mode=mode)
    index.nearest(ONES, limit=1, exact=True)
    int8 = an_index(wire, quantization="int8")
    int8.nearest(ONES, limit=1)
    *ours, quantized = (it.params for it in seen(wire, pb.QueryPoints))
    assert [it.acorn.enable for it in ours] == [False, True, False, False]
    assert [it.exact for it in ours] == [False, False, True, True]
    assert not ours[0].HasField("quantization")
    assert (quantized.quantization.rescore, quantized.quantization.oversampling) == (True, 2.0)


def test_exact_search_compares_vectors_and_not_their_codes(wire: Wire) -> None:
    int8 = an_index(wire, quantization="int8")
    for mode in SearchMode:
        int8.nearest(ONES, limit=1, mode=mode)
    int8.nearest(ONES, limit=1, exact=True)
    asked = [it.params for it in seen(wire, pb.QueryPoints)]
    assert [it.exact for it in asked] == [False, False, True, True]
    assert [it.quantization.ignore for it in asked] == [False, False, True, True]


def test_a_search_is_one_call_whatever_its_filter(wire: Wire, index: ServerIndex) -> None:
    one = {"gender": Condition(any_of=("Men",))}
    two = {**one, "attributes.a b": Condition(none_of=("x",))}
    index.upsert([a_point(1, gender="Men")])
    wire.seen.clear()
    for where, mode in ((None, "plain"), (one, "plain"), (two, "acorn")):
        assert index.search_mode(where) == mode
        index.nearest(ONES, limit=1, where=where)
    searches = list(seen(wire, pb.QueryPoints))
    assert wire.seen == searches
    assert [it.params.acorn.enable for it in searches] == [False, False, True]


def test_the_connector_takes_grpc_and_a_write_deadline_without_connecting() -> None:
    address = addresses.read("http://127.0.0.1:1", grpc_port=2)
    client = channel.connect(address, api_key=None, seconds=60)
    assert client.init_options["prefer_grpc"]
    assert client.init_options["timeout"] == 60
    client.close()


# --- errors ---------------------------------------------------------------------------------


def test_a_server_that_is_away_for_a_moment_is_asked_again(
    wire: Wire, index: ServerIndex, pauses: list[float]
) -> None:
    wire.fail(StatusCode.UNAVAILABLE, StatusCode.RESOURCE_EXHAUSTED)
    index.upsert([a_point(1)])
    wire.fail(StatusCode.ABORTED)
    assert index.count() == 1
    assert len(pauses) == 3
    assert all(0.05 <= pause <= 0.6 for pause in pauses)


def test_a_server_that_stays_away_is_unavailable(
    wire: Wire, index: ServerIndex, pauses: list[float]
) -> None:
    index.ping()
    wire.fail(*[StatusCode.UNAVAILABLE] * 3)
    with pytest.raises(IndexUnavailable, match="as planned"):
        index.count()
    assert len(pauses) == 2
    assert index.count() == 0


@pytest.mark.parametrize("status", [StatusCode.DEADLINE_EXCEEDED, StatusCode.INTERNAL])
def test_what_may_have_been_done_or_overload_the_server_is_not_asked_again(
    wire: Wire, index: ServerIndex, pauses: list[float], status: StatusCode
) -> None:
    index.ping()
    wire.fail(status)
    with pytest.raises(IndexUnavailable):
        index.upsert([a_point(1)])
    assert pauses == []
    assert index.count() == 0


@pytest.mark.parametrize(
    ("status", "details", "expected"),
    [
        (StatusCode.UNAUTHENTICATED, "no key", ConfigurationError),
        (StatusCode.PERMISSION_DENIED, "read only", ConfigurationError),
        (StatusCode.INVALID_ARGUMENT, "Wrong input", ConfigurationError),
        (StatusCode.INVALID_ARGUMENT, 'Index required but not found for "x"', InvalidFilter),
        (StatusCode.NOT_FOUND, "no such collection", IndexGone),
    ],
)
def test_a_refusal_says_whose_fault_it_is(
    wire: Wire, index: ServerIndex, status: StatusCode, details: str, expected: type[LookalikeError]
) -> None:
    index.ping()
    wire.fail(status, details=details)
    with pytest.raises(expected) as refused:
        index.nearest(ONES, limit=1)
    assert details in refused.value.message or expected is IndexGone


def test_a_mistake_in_a_call_is_not_blamed_on_the_server(wire: Wire, index: ServerIndex) -> None:
    with pytest.raises(ValueError, match="-1"):
        index.nearest(ONES, limit=-1)


def test_no_server_at_all_is_unavailable(pauses: list[float]) -> None:
    away = nodes.of_urls("http://127.0.0.1:1", api_key=None, grpc_port=2)
    index = ServerIndex("products", size=4, schema=SCHEMA, nodes=away)
    with pytest.raises(IndexUnavailable):
        index.ping()
    assert len(pauses) == 2
    index.close()


@pytest.mark.parametrize(
    ("status", "expected", "tries"),
    [
        (404, IndexGone, 1),
        (401, ConfigurationError, 1),
        (400, ConfigurationError, 1),
        (500, IndexUnavailable, 1),
        (503, IndexUnavailable, 3),
    ],
)
def test_a_client_that_speaks_http_gets_the_same_errors(
    pauses: list[float], status: int, expected: type[LookalikeError], tries: int
) -> None:
    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    asked: list[str] = []
    with HTTPServer(("127.0.0.1", 0), Answer) as server:
        threading.Thread(target=server.serve_forever, args=[0.01], daemon=True).start()
        client = QdrantClient(
            url=f"http://127.0.0.1:{server.server_port}", check_compatibility=False
        )
        index = ServerIndex("products", size=4, schema=SCHEMA, nodes=Nodes.single(lambda: client))
        with pytest.raises(expected):
            index.ping()
        index.close()
        server.shutdown()
    assert len(asked) == tries


# --- local mode -----------------------------------------------------------------------------


def test_local_mode_answers_without_the_payload_indexes_that_it_does_not_keep() -> None:
    client = QdrantClient(":memory:")
    index = ServerIndex("products", size=4, schema=SCHEMA, nodes=Nodes.single(lambda: client))
    index.upsert([a_point(1, gender="Men")])
    assert client.get_collection("products").payload_schema == {}
    assert index.facet("gender") == [("Men", 1)]
    assert index.count({"gender": Condition(any_of=("Men",))}) == 1
    client.delete_collection("products")
    with pytest.raises(IndexGone):
        index.count()
    index.close()


# --- outsiders' alias, and the end ----------------------------------------------------------


def test_the_alias_follows_the_active_collection() -> None:
    client = QdrantClient(":memory:")
    local = Nodes.single(lambda: client)
    for name in ("first", "second"):
        ensure_collection(local, name, size=4, schema={}, options=ServerOptions())
        for _ in range(2):  # saying it again changes nothing
            point_alias(local, "lookalike", name)
        found = {it.alias_name: it.collection_name for it in client.get_aliases().aliases}
        assert found == {"lookalike": name}


def test_a_dropped_collection_is_gone_and_never_made_again() -> None:
    client = QdrantClient(":memory:")
    index = ServerIndex("products", size=4, schema=SCHEMA, nodes=Nodes.single(lambda: client))
    index.upsert([a_point(1)])
    index.drop()
    with pytest.raises(IndexGone):
        index.count()
    unused = ServerIndex("never-made", size=4, schema=SCHEMA, nodes=Nodes.single(lambda: client))
    unused.drop()
    assert client.get_collections().collections == []
