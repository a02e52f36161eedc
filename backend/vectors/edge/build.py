"""Building a shard with its graph, outside of the server: the engine holds the GIL for minutes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import qdrant_edge as qe

from backend.filters import Schema
from backend.vectors import Point
from backend.vectors.edge.shard import (
    ShardOptions,
    check_space,
    engine_errors,
    engine_points,
    index_fields,
)
from backend.vectors.points import BATCH, check_points


def build(
    folder: Path,
    pages: Iterable[Sequence[Point]],
    *,
    size: int,
    schema: Schema,
    options: ShardOptions,
    threads: int,
    filled: Callable[[int], None] = lambda _count: None,
) -> int:
    """Fill a new shard with points, build its graph, flush and close it; return how many it holds.

    No id may come twice. `threads` (0: as many as there are processors) build the graph. `filled`
    is called with the number of points so far. Raises IndexUnavailable, also before the disk is
    full.
    """
    check_space(folder.parent)
    with engine_errors():
        shard = qe.EdgeShard.create(str(folder), _config(size, options, threads))
        # Before the graph is built: it gets links for each value of an indexed field.
        index_fields(shard, schema, tokens=options.attribute_tokens)
    count = 0
    for page in pages:
        ready = check_points(page, size=size, schema=schema, tokens=options.attribute_tokens)
        for start in range(0, len(ready), BATCH):
            check_space(folder)
            with engine_errors():
                batch = engine_points(ready[start : start + BATCH])
                shard.update(qe.UpdateOperation.upsert_points(batch))
        count += len(ready)
        filled(count)
    with engine_errors():
        while shard.optimize():  # only False says that nothing is left to do
            pass
        shard.flush()
        shard.close()
    return count


def _config(size: int, options: ShardOptions, threads: int) -> qe.EdgeConfig:
    int8 = qe.ScalarQuantizationConfig(type=qe.ScalarType.Int8, quantile=0.99, always_ram=True)
    return qe.EdgeConfig(
        vectors=qe.EdgeVectorParams(size=size, distance=qe.Distance.Cosine),
        hnsw_config=qe.HnswIndexConfig(
            m=options.hnsw_m,
            ef_construct=options.hnsw_ef_construct,
            full_scan_threshold=10_000,  # KB of vectors that pass a filter: the engine's default
            max_indexing_threads=threads,
        ),
        quantization_config=int8 if options.quantization else None,
        # One segment, whose graph is built however small it is: the policy decided that already.
        optimizers=qe.EdgeOptimizersConfig(default_segment_number=1, indexing_threshold=1),
        wal_enabled=True,
    )
