"""Points that nobody of ours would write, past the adapter's checks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import qdrant_edge as qe
from qdrant_client import models

from backend.vectors import Vector, VectorIndex
from backend.vectors.edge.index import EdgeIndex
from backend.vectors.server.index import ServerIndex


def smuggle(
    index: VectorIndex, id: int | UUID, vector: Vector | None, payload: Mapping[str, Any]
) -> None:
    """Write a point straight into the store; without a vector if there is none."""
    if isinstance(index, EdgeIndex):
        point = qe.Point(id, {} if vector is None else vector.tolist(), dict(payload))
        with index.store.writing([]) as shard:
            shard.update(qe.UpdateOperation.upsert_points([point]))
    else:
        assert isinstance(index, ServerIndex)
        given: Any = {} if vector is None else vector.tolist()
        number = str(id) if isinstance(id, UUID) else id
        struct = models.PointStruct(id=number, vector=given, payload=dict(payload))
        index.collection.open().upsert(index.collection.name, [struct], wait=True)
