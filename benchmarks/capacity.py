"""The sizes that `scaling.py` prints: bytes of a point, nodes, and the time of large tasks.

Formulas only; docs/scaling.md has their sources. Nothing is measured here, and nothing is printed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class PointBytes:
    """What one point takes, in bytes."""

    dimensions: int = 512
    m: int = 16  # links of a node of the graph
    payload: int = 500
    payload_indexes: int = 550
    room: float = 1.5  # for metadata and for segments that are rebuilt

    @property
    def links(self) -> float:
        """Links of 4 bytes: 2 m on the lowest layer, m on each of 1 / ln m further ones."""
        return 4 * (2 + 1 / math.log(self.m)) * self.m

    @property
    def in_memory(self) -> float:
        """Everything in memory. `room` holds the graph too (Qdrant's rule)."""
        return self.dimensions * 4 * self.room + self.payload + self.payload_indexes

    @property
    def int8_on_disk(self) -> float:
        """int8 codes, graph and payload indexes in memory; vectors and payload on disk."""
        return (self.dimensions + self.links) * self.room + self.payload_indexes

    @property
    def disk(self) -> float:
        """On disk, twice: a segment that is rebuilt stands beside the old one."""
        return 2 * (self.dimensions * 5 + self.links + self.payload + self.payload_indexes)


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """Nodes of Qdrant that hold a catalogue."""

    nodes: int
    shards: int
    memory: float  # bytes, of all replicas and generations
    disk: float


def cluster_for(
    products: int, each: float, point: PointBytes, *, node: float, replicas: int, generations: int
) -> Cluster:
    """Return how many nodes of `node` bytes of memory are needed; a quarter of them stays free.

    What fits into one node is one node, without replicas. A cluster has three nodes or more, and
    two shards for each.
    """
    usable = 0.75 * node
    memory = products * each * generations
    disk = products * point.disk * generations
    if memory <= usable:
        return Cluster(nodes=1, shards=1, memory=memory, disk=disk)
    nodes = max(3, math.ceil(memory * replicas / usable))
    return Cluster(nodes=nodes, shards=2 * nodes, memory=memory * replicas, disk=disk * replicas)


def sql_bytes(dimensions: int, *, generations: int = 1) -> float:
    """Return PostgreSQL's bytes a product: its row, and a vector and an entry per generation.

    The generations have different embedders; with the same one they share the vectors.
    """
    return 400 + generations * (dimensions * 2 + 450 + 500)


def search_seconds(points: int, shards: int, *, known: float, at: int) -> float:
    """Return the processor time of a query: each shard is searched, in the logarithm of its points.

    `known` is the processor time of one search of `at` points.
    """
    return shards * known * math.log(points / shards) / math.log(at)


def reembed_seconds(images: int, *, gpus: int, gpu_rate: float, cores: int, decode: float) -> float:
    """Return the time to embed a catalogue: that of the GPUs or of the decoders, if longer."""
    return images / min(gpus * gpu_rate, cores / decode)
