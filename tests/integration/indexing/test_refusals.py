"""A real refusal over the wire: a payload that is nested deeper than protobuf allows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from support.qdrant_wire import LOCAL_MODE_WARNINGS, Wire

from backend.indexing.refusals import upsert_apart
from backend.vectors import Point
from backend.vectors.server.index import ServerIndex
from backend.vectors.server.nodes import Nodes

pytestmark = LOCAL_MODE_WARNINGS


@pytest.fixture
def wire() -> Iterator[Wire]:
    found = Wire()
    yield found
    found.stop()


def nested(depth: int) -> dict[str, Any]:
    payload: dict[str, Any] = {"x": 1}
    for _ in range(depth):
        payload = {"x": payload}
    return payload


def test_the_one_point_that_cannot_be_sent_is_named_and_the_others_are_written(wire: Wire) -> None:
    index = ServerIndex("products", size=2, schema={}, nodes=Nodes.single(wire.connect))
    points = [
        Point(id=n, vector=np.ones(2, np.float32), payload=nested(200 * (n == 5)), claim=1)
        for n in range(8)
    ]

    refused = upsert_apart(index, points)

    assert list(refused) == [5]
    assert index.count() == 7
    index.close()
