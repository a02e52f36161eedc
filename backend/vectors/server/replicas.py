"""Compare what the nodes of a cluster answer; each one reads its own replicas, if it has any."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from heapq import merge
from itertools import groupby
from operator import itemgetter
from typing import Any, Final

from backend.vectors import VectorIndex
from backend.vectors.server.nodes import Nodes

EXAMPLES: Final = 10
LOOKS: Final = 3
"""A point that is written meanwhile differs for a moment, so points that differ are read again."""

PAUSE_SECONDS: Final = 1.0
_PAGE: Final = 1000


@dataclass
class ReplicaReport:
    """What the comparison of one index found."""

    points: dict[str, int] = field(default_factory=dict)  # by node
    different: list[int] = field(default_factory=list)  # ids that not all nodes have with one claim
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
            "examples": self.different[:EXAMPLES],
            "inactive": self.inactive,
        }


def compare_replicas(
    nodes: Nodes,
    indexes: Mapping[str, VectorIndex],
    *,
    collection: str,
    sleep: Callable[[float], None] = time.sleep,
) -> ReplicaReport:
    """Compare (id, claim) of every point; `indexes` are those of the single nodes, by name.

    Claims tell versions of a point apart, so vectors and payloads are not read. Raises what the
    index of a node raises.
    """
    report = ReplicaReport(points=dict.fromkeys(indexes, 0))
    for id_, found in groupby(merge(*_labelled(indexes), key=itemgetter(0)), itemgetter(0)):
        versions = {name: claim for _, claim, name in found}
        for name in versions:
            report.points[name] += 1
        if len(versions) < len(indexes) or len(set(versions.values())) > 1:
            report.different.append(id_)
    for _ in range(LOOKS):
        if report.different:
            sleep(PAUSE_SECONDS)
            report.different = _still_different(indexes, report.different)
    report.inactive = _inactive(nodes, collection)
    return report


def _labelled(indexes: Mapping[str, VectorIndex]) -> list[Iterator[tuple[int, int, str]]]:
    def label(name: str, index: VectorIndex) -> Iterator[tuple[int, int, str]]:
        return ((id_, claim, name) for id_, claim in index.claims())

    return [label(name, index) for name, index in indexes.items()]


def _still_different(indexes: Mapping[str, VectorIndex], ids: list[int]) -> list[int]:
    different = []
    for start in range(0, len(ids), _PAGE):
        page = ids[start : start + _PAGE]
        found = [{it.id: it.claim for it in index.records(page)} for index in indexes.values()]
        different += [id_ for id_ in page if len({one.get(id_) for one in found}) > 1]
    return different


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
