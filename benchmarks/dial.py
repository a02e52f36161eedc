"""Recall of one graph at each setting of the dial for colour.

    python benchmarks/dial.py VECTORS.npz [--queries 300]

The file holds `look` and `colour`, (n, any size) each, with rows of length 1; as blocks of one
vector they get the weights .85 and .15. All vectors lie in one HNSW graph of the embedded engine.
Each query is a stored vector whose blocks are weighed as the setting says. A neighbour counts as
found when it scores no less than the tenth exact one, by numpy. The last line asks for the block
of colour alone, which no setting does. Times are ratios to the median without the dial.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import qdrant_edge as qe

from backend.embedders import Block
from backend.search.colour_weight import weigh
from backend.vectors import Point, SearchMode, Vector
from backend.vectors.edge.folders import FIRST
from backend.vectors.edge.index import EdgeIndex

SHARE = 0.15
SETTINGS = (None, 0.0, 0.15, 0.3, 0.5, 0.7, 0.85, 1.0)
LIMIT = 10
BATCH = 256
LEAST = 0.99


def build(vectors: Vector, folder: Path) -> EdgeIndex:
    """Fill a shard and build its graph with the engine's defaults."""
    index = EdgeIndex(folder, size=vectors.shape[1], schema={})
    for start in range(0, len(vectors), BATCH):
        rows = range(start, min(start + BATCH, len(vectors)))
        index.upsert([Point(id=row, vector=vectors[row], payload={}, claim=1) for row in rows])
    index.close()
    shard = qe.EdgeShard.load(str(folder / FIRST))
    while shard.optimize():
        pass
    shard.flush()
    shard.close()
    return EdgeIndex(folder, size=vectors.shape[1], schema={})


def measure(index: EdgeIndex, vectors: Vector, asked: list[Vector]) -> tuple[float, float]:
    """Return recall@10 and the median milliseconds of the graph for these queries."""
    recalls, times = [], []
    for query in asked:
        unit = query / np.linalg.norm(query)
        started = time.perf_counter()
        hits = index.nearest(unit, limit=LIMIT, mode=SearchMode.PLAIN, payloads=False)
        times.append(1000 * (time.perf_counter() - started))
        scores = vectors @ unit
        least = np.partition(scores, -LIMIT)[-LIMIT] - 1e-5
        recalls.append(np.mean([scores[hit.id] >= least for hit in hits]))
    return float(np.mean(recalls)), statistics.median(times)


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("file", type=Path)
    parser.add_argument("--queries", type=int, default=300)
    options = parser.parse_args()
    with np.load(options.file) as file:
        look, colour = file["look"].astype(np.float32), file["colour"].astype(np.float32)
    vectors = np.hstack([(1 - SHARE) ** 0.5 * look, SHARE**0.5 * colour])
    blocks = (Block("look", 0, look.shape[1]), Block("colour", look.shape[1], vectors.shape[1]))
    rows = np.random.default_rng(0).permutation(len(vectors))[: options.queries]
    with tempfile.TemporaryDirectory() as folder:
        index = build(vectors, Path(folder) / "shard")
        usual, worst = 0.0, 1.0
        for setting in SETTINGS:
            weighed = [weigh(vectors[row], blocks, colour=setting).asked for row in rows]
            recall, median = measure(index, vectors, weighed)
            usual, worst = usual or median, min(worst, recall)
            print(f"colour={setting}: recall@10 {recall:.4f}, time {median / usual:.2f}")
        alone = vectors[rows].copy()
        alone[:, : look.shape[1]] = 0
        recall, median = measure(index, vectors, list(alone))
        print(f"colour alone: recall@10 {recall:.4f}, time {median / usual:.2f}")
        index.close()
    return int(worst < LEAST)


if __name__ == "__main__":
    raise SystemExit(main())
