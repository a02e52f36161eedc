"""`verify --replicas`: what the nodes of a cluster answer is compared with each other."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from qdrant_client import grpc as pb
from qdrant_client import models
from support.qdrant_wire import LOCAL_MODE_WARNINGS, Wire
from support.shop import QUICK, Shop

from backend import indexing
from backend.errors import ConfigurationError
from backend.settings import Settings
from backend.vectors import Point
from backend.vectors.server import replicas
from backend.vectors.server.index import ServerIndex
from backend.vectors.server.nodes import Nodes

pytestmark = LOCAL_MODE_WARNINGS

Verify = Callable[..., dict[str, Any]]


@pytest.fixture
def wires() -> Iterator[list[Wire]]:
    """Two nodes, of which each holds what is written to it alone."""
    made = [Wire(), Wire()]
    yield made
    for wire in made:
        wire.stop()


@pytest.fixture
def verify(
    settings: Settings,
    wires: list[Wire],
    monkeypatch: pytest.MonkeyPatch,
    run_command: Callable[..., Any],
) -> Iterator[Verify]:
    """Runs the command, with the exit code that is expected, for the shop's one generation."""
    monkeypatch.setattr(replicas, "PAUSE_SECONDS", 0.01)
    urls = ",".join(f"http://127.0.0.1:1?grpc_port={wire.port}" for wire in wires)
    with Shop(settings, qdrant_url=urls, **QUICK) as shop:
        monkeypatch.setenv("QDRANT_URL", urls)
        name, size = shop.generation.collection, shop.generation.size
        for wire in wires:
            only = Nodes.single(wire.connect)
            index = ServerIndex(name, size=size, schema=indexing.schema(), nodes=only)
            index.upsert([point(number, size) for number in (1, 2, 3)])

        def run(code: int, *options: str) -> dict[str, Any]:
            asked = ("verify", "--replicas", *options, "--json")
            found = json.loads(run_command(*asked, code=code).stdout)
            [one] = found["generations"]
            return {**one, "points": list(one["points"].values())}

        yield run


def point(id_: int, size: int, claim: int = 1) -> Point:
    return Point(id=id_, vector=np.ones(size, dtype=np.float32), payload={}, claim=claim)


def test_nodes_that_hold_the_same_agree(verify: Verify) -> None:
    found = verify(0)
    assert (found["points"], found["different"], found["inactive"]) == ([3, 3], 0, [])
    assert found["vectors_compared"] == 1, "a sample: a hundredth, at least one of a page"
    assert verify(0, "--full")["vectors_compared"] == 3


def test_a_point_that_one_node_lacks_or_has_in_another_version_is_named(
    verify: Verify, wires: list[Wire]
) -> None:
    [name] = [it.name for it in wires[0].local.get_collections().collections]
    wires[0].local.delete(name, [2])
    wires[1].local.set_payload(name, {"claim": 7}, points=[3])
    found = verify(1)
    assert (found["points"], found["different"], found["examples"]) == ([2, 3], 2, [2, 3])
    assert found["kinds"] == {"claim": 2}


def test_a_payload_that_differs_under_one_claim_is_named(verify: Verify, wires: list[Wire]) -> None:
    [name] = [it.name for it in wires[0].local.get_collections().collections]
    wires[1].local.set_payload(name, {"price": 7.5}, points=[2])
    found = verify(1)
    assert (found["kinds"], found["examples"]) == ({"payload": 1}, [2])


def test_a_vector_that_differs_under_one_claim_is_named(verify: Verify, wires: list[Wire]) -> None:
    [name] = [it.name for it in wires[0].local.get_collections().collections]
    [record] = wires[1].local.retrieve(name, [3], with_vectors=True)
    other = np.asarray(record.vector, dtype=np.float32)
    other[0] = -other[0]
    wires[1].local.update_vectors(name, [models.PointVectors(id=3, vector=other.tolist())])
    found = verify(1, "--full")
    assert (found["kinds"], found["examples"]) == ({"vector": 1}, [3])


def test_a_point_that_is_written_while_it_is_compared_does_not_count(
    verify: Verify, wires: list[Wire], monkeypatch: pytest.MonkeyPatch
) -> None:
    [name] = [it.name for it in wires[0].local.get_collections().collections]
    wires[1].local.set_payload(name, {"price": 7.5}, points=[2])
    looks: list[list[int]] = []
    look_again = replicas.still_different

    def look_after_a_write(indexes: replicas.Indexes, ids: list[int]) -> dict[int, replicas.Kind]:
        looks.append(ids)
        wires[0].local.set_payload(name, {"price": 7.5}, points=[2])
        return look_again(indexes, ids)

    monkeypatch.setattr(replicas, "still_different", look_after_a_write)
    assert verify(0)["different"] == 0
    assert looks == [[2]]


def test_a_replica_that_the_cluster_does_not_use_is_named(
    verify: Verify, wires: list[Wire]
) -> None:
    for wire in wires:
        wire.replica_states = [pb.ReplicaState.Active, pb.ReplicaState.Dead]
    assert verify(1)["inactive"] == ["shard 0 on peer 3: Dead"]


def test_one_node_alone_has_nothing_to_compare(
    settings: Settings, run_command: Callable[..., Any]
) -> None:
    with Shop(settings, **QUICK) as shop:
        shop.put("1")
    failed = run_command("verify", "--replicas", code=1)
    assert isinstance(failed.exception, ConfigurationError)
