"""The two vector stores, for the tests of searches."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from support.qdrant_wire import Wire
from support.shaped_catalogue import Oracle, fill
from support.shop import Shop

from backend.settings import Settings


@pytest.fixture(scope="module")
def wire() -> Iterator[Wire]:
    made = Wire()
    yield made
    made.stop()


@pytest.fixture(scope="module", params=["embedded", "server"])
def vector_store(request: pytest.FixtureRequest, wire: Wire) -> dict[str, Any]:
    """The settings of either vector store."""
    if request.param == "embedded":
        return {}
    return {"qdrant_url": "http://127.0.0.1:1", "qdrant_grpc_port": wire.port}


@pytest.fixture(scope="module")
def filled(
    api_settings: Settings,
    vector_store: dict[str, Any],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[Shop, Oracle]]:
    """A shop of the sample's products, in either vector store, and its oracle."""
    with ExitStack() as stack:
        folder = tmp_path_factory.mktemp("filled")
        shop = stack.enter_context(
            Shop(api_settings, data_dir=folder, max_batch=50, **vector_store)
        )
        fill(shop)
        yield shop, Oracle.of(shop)
