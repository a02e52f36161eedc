"""The two vector stores, for the tests of searches."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from support.qdrant_wire import Wire


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
