"""Filters on open attributes in an embedded shard, with and without the field of tokens.

    python benchmarks/attribute_tokens.py [--count 10000] [--dims 256]

Both shards hold the same points, whose attributes are drawn: texts with few and with many values, a
number, a flag, a code of its own. Each filter is asked in turns of both shards; the time is that of
the shard with tokens, the factor that of the other one over it (medians). Also what the tokens
cost: the time to fill a shard, its size on disk, and one condition on 1,000 points.
"""

from __future__ import annotations

import argparse
import random
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import qdrant_edge as qe
from vectors import clustered

from backend.database.models import Product
from backend.filters import Condition, Where
from backend.filters.tokens import tokens_of
from backend.indexing.payload import payload
from backend.vectors import Point
from backend.vectors.edge.index import EdgeIndex
from backend.vectors.edge.shard import ShardOptions

FILTERS: dict[str, Where] = {
    "one of 4 values": {"attributes.fabric": Condition(any_of=("silk",))},
    "one of 100 values": {"attributes.style": Condition(any_of=("s7",))},
    "a code of its own": {"attributes.ean": Condition(any_of=("0000000000042",))},
    "none of 2 of 4 values": {"attributes.fabric": Condition(none_of=("silk", "wool"))},
    "a flag": {"attributes.new": Condition(any_of=(True,))},
    "a wide range": {"attributes.weight": Condition(gte=1.23, lt=4)},
    "a narrow range": {"attributes.width": Condition(gte=100, lte=101)},
    "three clauses": {
        "attributes.fabric": Condition(any_of=("silk", "wool")),
        "attributes.new": Condition(none_of=(True,)),
        "attributes.weight": Condition(gt=2.5),
    },
    "1,000 numbers": {"attributes.weight": Condition(any_of=tuple(n / 200 for n in range(1000)))},
}


def attributes(number: int, draw: random.Random) -> dict[str, Any]:
    """Return the open attributes of one product."""
    return {
        "fabric": draw.choice(["silk", "wool", "cotton", "linen"]),
        "style": f"s{draw.randrange(100)}",
        "ean": f"{number:013d}",
        "weight": round(draw.uniform(0, 5), 2),
        "width": draw.randint(1, 300),
        "new": draw.random() < 0.1,
        "care": draw.choice(["30", "40", "hand"]),
        "fit": draw.choice("SML"),
    }


def product(number: int, its: dict[str, Any]) -> Product:
    """Return a product with these attributes."""
    return Product(sku=str(number), attributes=its)


def fill(folder: Path, points: list[Point], *, tokens: bool) -> tuple[EdgeIndex, float]:
    """Return an index that holds the points, and the CPU seconds that it took."""
    size = len(points[0].vector)
    options = ShardOptions(attribute_tokens=tokens)
    index = EdgeIndex(folder, size=size, schema={"gender": "keyword"}, options=options)
    started = time.process_time()
    index.upsert(points)
    index.flush()
    return index, time.process_time() - started


def medians(asks: list[Callable[[], object]], *, rounds: int = 9) -> list[float]:
    """Return the median seconds of each, asked in turns."""
    times: list[list[float]] = [[] for _ in asks]
    for _ in range(rounds):
        for ask, taken in zip(asks, times, strict=True):
            started = time.perf_counter()
            ask()
            taken.append(time.perf_counter() - started)
    return [statistics.median(taken) for taken in times]


def megabytes(folder: Path) -> int:
    """Return the size on disk; apparent sizes are far larger."""
    said = subprocess.run(["du", "-sm", folder], capture_output=True, text=True, check=True)
    return int(said.stdout.split()[0])


def one_condition(index: EdgeIndex) -> float:
    """Return the nanoseconds of one more negation on one point that passes all of them."""

    def seconds(clauses: int) -> float:
        where = {f"attributes.a{n}": Condition(none_of=("x",)) for n in range(clauses)}
        found = index._translate(where)  # past the refusal of what is costly

        def ask() -> None:
            with index.store.using() as shard:
                shard.count(qe.CountRequest(exact=True, filter=found))

        return medians([ask], rounds=5)[0]

    return (seconds(60) - seconds(10)) / 50 / index.count() * 1e9


def main() -> None:
    """Fill both shards and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--dims", type=int, default=256)
    given = parser.parse_args()
    draw = random.Random(1)
    drawn = [attributes(number, draw) for number in range(given.count)]
    points = [
        Point(
            id=number,
            vector=vector,
            payload=payload(Product(sku=str(number), attributes=its)),
            claim=1,
        )
        for number, (vector, its) in enumerate(
            zip(clustered(given.count, given.dims)[0], drawn, strict=True)
        )
    ]
    print(
        f"{given.count:,} points, {sum(map(len, map(tokens_of, drawn))) / given.count:.1f} tokens"
    )
    with tempfile.TemporaryDirectory() as folder:
        made = [fill(Path(folder) / str(tokens), points, tokens=tokens) for tokens in (False, True)]
        (plain, before), (tokens, after) = made
        sizes = [megabytes(Path(folder) / str(it)) for it in (False, True)]
        print(f"filled in {before:.1f} and {after:.1f} CPU s; {sizes[0]} and {sizes[1]} MB")
        query = np.asarray(points[0].vector)
        print("| filter | passing | ms with tokens | without |\n|---|---|---|---|")
        for name, where in FILTERS.items():
            asks = [
                lambda index=index, where=where: index.nearest(query, limit=10, where=where)
                for index in (plain, tokens)
            ]
            slow, fast = medians(asks)
            passing = tokens.count(where)
            assert passing == plain.count(where)
            print(
                f"| {name} | {passing:,} | {fast * 1e3:.2f} | {slow / fast:.0f} times |", flush=True
            )
        print(f"one condition on tokens: {one_condition(tokens):.0f} ns a point")
        print(f"one condition without: {one_condition(plain):.0f} ns a point")


if __name__ == "__main__":
    main()
