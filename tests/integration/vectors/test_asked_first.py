"""The vector store is asked before the first image is opened; one sentence names the setting."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from grpc import StatusCode
from qdrant_client import grpc as pb
from qdrant_client import models
from structlog.testing import capture_logs
from support.qdrant_wire import LOCAL_MODE_WARNINGS, Wire
from support.servers import free_port
from support.shop import QUICK, Shop

from backend.errors import ConfigurationError
from backend.settings import Settings
from backend.vectors.server import addresses, channel
from backend.worker.loop import Worker, check_index

pytestmark = LOCAL_MODE_WARNINGS


@pytest.fixture
def wire() -> Iterator[Wire]:
    made = Wire()
    yield made
    made.stop()


def shop_at(settings: Settings, port: int) -> Shop:
    return Shop(settings, qdrant_url="http://127.0.0.1:1", qdrant_grpc_port=port, **QUICK)


def test_a_wrong_key_keeps_a_worker_from_beginning(settings: Settings, wire: Wire) -> None:
    with shop_at(settings, wire.port) as shop:
        wire.fail(StatusCode.UNAUTHENTICATED, details="Invalid API key")
        with pytest.raises(ConfigurationError, match="QDRANT_API_KEY"):
            Worker(shop.services).recover()
        Worker(shop.services).recover()  # the key was put right
        assert not any(isinstance(one, pb.CreateCollection) for one in wire.seen)


def test_an_address_where_nobody_listens_is_one_line_and_images_are_embedded(
    settings: Settings,
) -> None:
    port = free_port()
    with shop_at(settings, port) as shop, capture_logs() as lines:
        check_index(shop.services)
        [line] = [it for it in lines if it["event"].startswith("the vector store")]
        assert "QDRANT_URL=http://127.0.0.1:1" in line["error"]
        assert f"LOOKALIKE_QDRANT_GRPC_PORT={port}" in line["error"]


def test_a_collection_for_other_vectors_is_said_at_the_start(
    settings: Settings, wire: Wire
) -> None:
    with shop_at(settings, wire.port) as shop:
        shop.put("1", "red")
        shop.work()
        generation = shop.generation
        wire.local.delete_collection(generation.collection)
        wire.local.create_collection(generation.collection, vectors_config=other_vectors())
        with pytest.raises(ConfigurationError, match=f"for {generation.size} dimensions"):
            check_index(shop.services)


def other_vectors() -> Any:
    return models.VectorParams(size=3, distance=models.Distance.DOT)


def test_index_ends_at_once_with_one_sentence(
    wire: Wire, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run_command: Callable[..., Any]
) -> None:
    wire.fail(StatusCode.UNAUTHENTICATED, details="Invalid API key")
    monkeypatch.setenv("QDRANT_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("LOOKALIKE_QDRANT_GRPC_PORT", str(wire.port))
    result = run_command("index", code=1)
    assert isinstance(result.exception, ConfigurationError)
    assert "QDRANT_API_KEY" in result.exception.message


@pytest.mark.parametrize(
    ("urls", "count"),
    [
        ("http://qdrant:6333", 1),
        ("http://a:6333,http://b:6333", 1),
        ("https://qdrant:6333", 0),
        ("http://localhost:6333", 0),
    ],
)
def test_a_key_without_tls_is_one_line_of_the_log(urls: str, count: int) -> None:
    with capture_logs() as lines, warnings.catch_warnings(record=True) as warned:
        addresses.warn_about_plain_key(urls, "secret")
        for url in addresses.split(urls):
            address = addresses.read(url, grpc_port=6334)
            channel.connect(address, api_key="secret", seconds=1).close()
    assert [it["setting"] for it in lines] == ["QDRANT_URL"] * count
    assert not warned
    assert "secret" not in str(lines)
