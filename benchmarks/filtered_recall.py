"""Filtered recall@10 of the embedded index against exact search, and what it costs.

    python benchmarks/filtered_recall.py [--count 40000] [--dims 384] [--vectors file.npz]

Filters that have nothing to do with how products look are the hard ones for a graph. Each is asked
for many queries, through the index and by the engine's bare call in turns, and then by numpy over
all vectors. A file holds `vectors` (n, dims); without one they are drawn in clusters. A neighbour
counts as found when it passes the filter and scores no less than the tenth exact one.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import qdrant_edge as qe
from vectors import SCHEMA, Array, clustered, columns, fill, in_turns

from backend.filters import Condition, Where
from backend.vectors import Hit
from backend.vectors.edge.index import EdgeIndex
from backend.vectors.edge.queries import EDGE_FILTERS
from backend.vectors.translate import translate

LIMIT = 10
LEAST = 0.99
Table = dict[str, npt.NDArray[Any]]
Mask = npt.NDArray[np.bool_]


def filters(table: Table, row: int) -> dict[str, tuple[Where, Mask]]:
    """Return filters for a row as the query, and the rows that pass each."""
    kind = str(table["article_type"][row])
    clauses = {
        "gender": Condition(any_of=("Men", "Unisex")),
        "year": Condition(gte=2012, lt=2015),
        "in_stock": Condition(any_of=(True,)),
    }
    passing = (
        np.isin(table["gender"], ["Men", "Unisex"])
        & (table["year"] >= 2012)
        & (table["year"] < 2015)
        & table["in_stock"]
    )
    return {
        "none": ({}, np.ones(len(passing), dtype=bool)),
        "10%": ({"usage": Condition(any_of=("usage 3",))}, table["usage"] == "usage 3"),
        "1%": (
            {"base_colour": Condition(any_of=("colour 42",))},
            table["base_colour"] == "colour 42",
        ),
        "1% that look alike": (
            {"article_type": Condition(any_of=(kind,))},
            table["article_type"] == kind,
        ),
        "three clauses": (clauses, passing),
    }


def exact(vectors: Array, query: Array, mask: Mask) -> Array:
    """Return the best scores among the rows that pass, best first, by comparing all."""
    scores = np.where(mask, vectors @ query, -2)
    best = np.partition(scores, -LIMIT)[-LIMIT:]
    return np.sort(best[best > -2])[::-1]


def recall(hits: list[Hit], best: Array, mask: Mask) -> float:
    """Return the share of exact neighbours that were found; 1 where there are none."""
    if not len(best):
        return float(not hits)
    found = [hit for hit in hits if mask[hit.id] and hit.score >= best[-1] - 1e-5]
    return min(1.0, len({hit.id for hit in found}) / len(best))


def measure(index: EdgeIndex, vectors: Array, table: Table, queries: list[int]) -> bool:
    """Print one line per filter; return whether recall was good enough for all of them."""
    heading = f"{'filter':<20}{'passing':>8}{'recall@10':>11}{'ms':>8}{'bare':>8}{'numpy':>8}"
    print(heading + f"{'x bare':>8}{'x numpy':>9}")
    good = True
    for name in filters(table, queries[0]):
        asked = [(vectors[row], *filters(table, row)[name]) for row in queries]
        best = [exact(vectors, query, mask) for query, _, mask in asked]
        found = [index.nearest(query, limit=LIMIT, where=where) for query, where, _ in asked]
        masks = [mask for _, _, mask in asked]
        share = float(np.mean(masks))
        score = float(np.mean([recall(*each) for each in zip(found, best, masks, strict=True)]))
        ours, bare = medians(in_turns(both(index, query, where)) for query, where, _ in asked)
        (scan,) = medians(
            in_turns([partial(exact, vectors, query, mask)]) for query, _, mask in asked
        )
        print(
            f"{name:<20}{share:>8.1%}{score:>11.4f}{ours:>8.2f}{bare:>8.2f}{scan:>8.2f}"
            f"{ours / bare:>8.2f}{ours / scan:>9.2f}"
        )
        good = good and score >= LEAST
    return good


def both(index: EdgeIndex, query: Array, where: Where) -> list[Callable[[], object]]:
    """Return one query as a call of the index, and as a call of the engine itself."""
    shard = index._store._opened().shard
    request = qe.QueryRequest(
        query=qe.Query.Nearest(query.tolist()),
        limit=LIMIT,
        filter=translate(where, SCHEMA, EDGE_FILTERS),
        with_payload=True,
    )
    return [
        lambda: index.nearest(query, limit=LIMIT, where=where),
        lambda: [(it.id, it.score, it.payload) for it in shard.query(request)],
    ]


def medians(rounds: Iterable[list[float]]) -> list[float]:
    """Return the median of each column."""
    return [statistics.median(column) for column in zip(*rounds, strict=True)]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=40_000)
    parser.add_argument("--dims", type=int, default=384)
    parser.add_argument("--queries", type=int, default=100)
    parser.add_argument(
        "--vectors", type=Path, help="an .npz with `vectors`, instead of drawn ones"
    )
    asked = parser.parse_args()
    vectors, cluster = clustered(asked.count, asked.dims)
    if asked.vectors:
        vectors = np.load(asked.vectors)["vectors"][: asked.count].astype(np.float32)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    table = columns(cluster[: len(vectors)])
    queries = np.random.default_rng(2).choice(len(vectors), asked.queries, replace=False).tolist()
    with tempfile.TemporaryDirectory() as folder:
        index = EdgeIndex(Path(folder) / "shard", size=vectors.shape[1], schema=SCHEMA)
        fill(index, vectors, table)
        print(f"{len(vectors)} x {vectors.shape[1]}, {asked.queries} queries a filter\n")
        good = measure(index, vectors, table, queries)
        index.close()
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
