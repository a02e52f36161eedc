"""Compare what the nodes of a cluster answer; each one reads its own replicas, if it has any."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from heapq import merge
from itertools import groupby, islice
from operator import itemgetter
from typing import Any, Final, Literal, TypeAlias

import numpy as np

from backend.vectors import StoredPoint, VectorIndex
from backend.vectors.server.nodes import Nodes

EXAMPLES: Final = 10
LOOKS: Final = 3
"""A point that is written meanwhile differs for a moment, so points that differ are read again."""

PAUSE_SECONDS: Final = 1.0

SAMPLE: Final = 0.01
"""Share of the vectors that are compared, at least one of a page, unless all are."""

CLOSE: Final = 1e-5
"""Largest difference between coordinates of one vector: each node makes its length 1 by itself."""

_PAGE: Final = 1000

Kind: TypeAlias = Literal["claim", "payload", "vector"]
Indexes: TypeAlias = Mapping[str, VectorIndex]


@dataclass
class ReplicaReport:
    """What the comparison of one index found."""

    points: dict[str, int] = field(default_factory=dict)  # by node
    different: dict[int, Kind] = field(default_factory=dict)  # {id of a point: what differs}
    compared: int = 0  # points of which the vectors were compared
    inactive: list[str] = field(default_factory=list)  # replicas that the cluster does not use

    @property
    def agrees(self) -> bool:
        """Whether nothing is wrong."""
        return not self.different and not self.inactive

    def summary(self) -> dict[str, Any]:
        """Return the report as JSON."""
        return {
            "points": self.points,
            "different": len(self.different),
            "kinds": dict(sorted(Counter(self.different.values()).items())),
            "vectors_compared": self.compared,
            "examples": sorted(self.different)[:EXAMPLES],
            "inactive": self.inactive,
        }


def compare_replicas(
    nodes: Nodes,
    indexes: Indexes,
    *,
    collection: str,
    full: bool = False,
    sleep: Callable[[float], None] = time.sleep,
) -> ReplicaReport:
    """Compare the points of all nodes; `indexes` are those of the single nodes, by name.

    Claims and payloads are compared for each point, vectors for a sample, or all if `full`. Raises
    what the index of a node raises.
    """
    report = ReplicaReport(points=dict.fromkeys(indexes, 0))
    agreeing = _with_one_claim(indexes, report)
    while page := list(islice(agreeing, _PAGE)):
        drawn = page if full else random.sample(page, max(1, round(SAMPLE * len(page))))
        report.compared += len(drawn)
        report.different |= _different(indexes, page, vectors=drawn)
    for _ in range(LOOKS):
        if report.different:
            sleep(PAUSE_SECONDS)
            report.different = still_different(indexes, list(report.different))
    report.inactive = _inactive(nodes, collection)
    return report


def _with_one_claim(indexes: Indexes, report: ReplicaReport) -> Iterator[int]:
    """Yield the ids that all nodes have with one claim; note the others, and count the points."""
    for id_, found in groupby(merge(*_labelled(indexes), key=itemgetter(0)), itemgetter(0)):
        claims = {name: claim for _, claim, name in found}
        for name in claims:
            report.points[name] += 1
        if len(claims) < len(indexes) or len(set(claims.values())) > 1:
            report.different[id_] = "claim"
        else:
            yield id_


def _labelled(indexes: Indexes) -> list[Iterator[tuple[int, int, str]]]:
    def label(name: str, index: VectorIndex) -> Iterator[tuple[int, int, str]]:
        return ((id_, claim, name) for id_, claim in index.claims())

    return [label(name, index) for name, index in indexes.items()]


def still_different(indexes: Indexes, ids: list[int]) -> dict[int, Kind]:
    """Read the points of these ids once more, whole; return what differs between nodes."""
    found: dict[int, Kind] = {}
    for start in range(0, len(ids), _PAGE):
        page = ids[start : start + _PAGE]
        found |= _different(indexes, page, vectors=page)
    return found


def _different(
    indexes: Indexes, ids: Sequence[int], *, vectors: Collection[int]
) -> dict[int, Kind]:
    """Read the points of these ids, some with their vectors; return what differs between nodes."""
    plain = _read(indexes, [id_ for id_ in ids if id_ not in set(vectors)], vectors=False)
    found = plain | _read(indexes, sorted(vectors), vectors=True)
    kinds = {id_: _difference(points) for id_, points in found.items()}
    return {id_: kind for id_, kind in kinds.items() if kind}


def _read(
    indexes: Indexes, ids: Sequence[int], *, vectors: bool
) -> dict[int, list[StoredPoint | None]]:
    """Return {id: the point of each node}, None for a node that has none."""
    if not ids:
        return {}
    found = [{it.id: it for it in one.records(ids, vectors=vectors)} for one in indexes.values()]
    return {id_: [of_node.get(id_) for of_node in found] for id_ in ids}


def _difference(points: Sequence[StoredPoint | None]) -> Kind | None:
    there = [it for it in points if it is not None]
    if not there:  # deleted meanwhile
        return None
    first, *others = there
    if len(there) < len(points) or any(it.claim != first.claim for it in others):
        return "claim"
    if any(it.payload != first.payload for it in others):
        return "payload"
    return None if all(_is_close(first, it) for it in others) else "vector"


def _is_close(one: StoredPoint, other: StoredPoint) -> bool:
    if one.vector is None or other.vector is None:
        return one.vector is other.vector
    return bool(np.allclose(one.vector, other.vector, rtol=0, atol=CLOSE))


def _inactive(nodes: Nodes, collection: str) -> list[str]:
    """Return the replicas that are not active, as the cluster itself says."""
    info = nodes.call("collection_cluster_info", collection, collection=collection)
    replicas = [(info.peer_id, it) for it in info.local_shards]
    replicas += [(it.peer_id, it) for it in info.remote_shards]
    return [
        f"shard {it.shard_id} on peer {peer}: {it.state.value}"
        for peer, it in replicas
        if it.state.value != "Active"
    ]
