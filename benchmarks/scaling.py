"""From one process to a billion products: a queue that is simulated, and sizes that are computed.

    python benchmarks/scaling.py [check workers drain sizes search reembed costs] [--seed 1] [...]

Nothing is measured here. Rates and bytes are those of docs/scaling.md, which says where each one
was measured, and each can be replaced by an option. Without names, all tables are printed:

- check: a queue of N workers, simulated, beside Erlang's formula; a formula that is wrong, or a
  simulation that is, shows here
- workers: how many workers an arrival rate needs
- drain: weeks of writes, feeds and a re-index through one set of workers, in steps of a minute
- sizes: memory, nodes, shards and disk of the index, and PostgreSQL's disk
- search: how the shards of a query add up
- reembed: a catalogue embedded anew on G GPUs, and what decoding, reading and writing need
- costs: of machines in a month, by prices that you give
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator, Sequence

import numpy as np
from capacity import Cluster, PointBytes, cluster_for, reembed_seconds, search_seconds, sql_bytes
from queueing import (
    DAY,
    HOUR,
    Workload,
    drained,
    erlang_c,
    mean_wait,
    servers_for,
    simulate_days,
    simulate_queue,
)

MONTH_HOURS = 730
MILLION, BILLION = 10**6, 10**9
CATALOGUES = (100_000, MILLION, 10 * MILLION, 100 * MILLION, BILLION)
RESCORED = 2 * (10 + 8 + 1)
"""Vectors that a shard reads for 10 items: spare hits and the product itself, oversampled twice."""


def check(options: argparse.Namespace) -> Iterator[Sequence[str]]:
    yield "load", "workers", "waits", "simulated", "mean wait, ms", "simulated", "steady service"
    rng = np.random.default_rng(options.seed)
    for servers, share in ((1, 0.8), (4, 0.8), (16, 0.9), (91, 0.9)):
        arrivals = share * servers * options.rate
        waits, steady = (
            simulate_queue(
                arrivals, options.rate, servers, count=options.arrivals, rng=rng, steady=steady
            )
            for steady in (False, True)
        )
        yield (
            f"{share:.0%}",
            f"{servers}",
            f"{erlang_c(servers, arrivals / options.rate):.3f}",
            f"{(waits > 0).mean():.3f}",
            f"{1000 * mean_wait(arrivals, options.rate, servers):.2f}",
            f"{1000 * waits.mean():.2f}",
            f"{1000 * steady.mean():.2f}",
        )


def workers(options: argparse.Namespace) -> Iterator[Sequence[str]]:
    full = f"at most {options.busy:.0%} busy"
    yield "images/s", "a day", "by the formula", full, "photographs, by the formula", full
    for arrivals in (1, 10, 100, 1_000, 10_000, 100_000):
        row = [f"{arrivals:,}", _short(arrivals * DAY)]
        for rate in (options.rate, options.photo_rate):
            row.append(f"{_workers(arrivals, rate, options, busy=1):,}")
            row.append(f"{_workers(arrivals, rate, options, busy=options.busy):,}")
        yield row


def drain(options: argparse.Namespace) -> Iterator[Sequence[str]]:
    yield "workers", "half away", "longest wait: single", "feed", "re-index: hours", "formula"
    rng = np.random.default_rng(options.seed)
    for crew in options.crews:
        for outage in ((0.0, 0.0), (6.0, 18.0)):
            load = Workload(
                rate=options.rate,
                workers=crew,
                singles=options.singles,
                feed=options.feed,
                reindex=options.reindex,
                outage=outage,
            )
            found = simulate_days(load, days=options.days, rng=rng)
            steady = options.singles + options.feed / DAY
            ended = found["re-index"].emptied
            yield (
                f"{crew}",
                f"{outage[0]:.0f} to {outage[1]:.0f} h" if outage[1] else "never",
                _minutes(found["single"].longest),
                _minutes(found["feed"].longest),
                f"{ended / HOUR:,.1f}" if ended else f"not in {options.days:g} days",
                f"{drained(options.reindex, steady, options.rate, crew) / HOUR:,.1f}",
            )


def sizes(options: argparse.Namespace) -> Iterator[Sequence[str]]:
    yield (
        *("products", "all in memory", "nodes", "shards", "int8, rest on disk", "nodes", "shards"),
        *("its disk", "PostgreSQL", "with a second embedder"),
    )
    point = PointBytes(dimensions=options.dimensions)
    for products in CATALOGUES:
        row = [_short(products)]
        for each in (point.in_memory, point.int8_on_disk):
            it = _cluster(products, each, point, options)
            row += [_bytes(it.memory), f"{it.nodes}", f"{it.shards}"]
        row.append(_bytes(it.disk))
        row += [
            _bytes(products * sql_bytes(options.dimensions, generations=live)) for live in (1, 2)
        ]
        yield row


def search(options: argparse.Namespace) -> Iterator[Sequence[str]]:
    yield (
        *("products", "shards", "CPU ms a query", "waits for a slow shard", "vectors from disk"),
        "an exact search: CPU s",
    )
    point = PointBytes(dimensions=options.dimensions)
    for products in CATALOGUES:
        it = _cluster(products, point.int8_on_disk, point, options)
        yield (
            _short(products),
            f"{it.shards}",
            f"{1000 * _search(products, it, options):.2f}",
            f"{1 - 0.99**it.shards:.0%}",
            f"{RESCORED * it.shards:,}",
            f"{products * options.compare:,.2f}",
        )


def reembed(options: argparse.Namespace) -> Iterator[Sequence[str]]:
    yield (
        *("images", "GPUs", "hours, small images", "hours, photographs"),
        *("cores, photographs at full speed", "bytes read", "write-ahead log"),
        "graph: core hours",
    )
    for images in (10 * MILLION, 100 * MILLION, BILLION):
        for gpus in (1, 8, 64):
            hours = [
                reembed_seconds(
                    images,
                    gpus=gpus,
                    gpu_rate=options.gpu_rate,
                    cores=gpus * options.gpu_cores,
                    decode=each,
                )
                / HOUR
                for each in (options.decode, options.photo_decode)
            ]
            rate = gpus * options.gpu_rate
            yield (
                *(_short(images), f"{gpus}", *(f"{it:,.1f}" for it in hours)),
                f"{math.ceil(rate * options.photo_decode):,}",
                f"{_bytes(rate * options.photo_bytes)}/s",
                f"{_bytes(rate * options.log_bytes)}/s",
                f"{images * options.build * options.replicas / HOUR:,.0f}",
            )


def costs(options: argparse.Namespace) -> Iterator[Sequence[str]]:
    yield (
        *("products", "queries/s", "Qdrant", "PostgreSQL", "API", "workers", "images", "a month"),
        *("embedded once: CPU", "GPU"),
    )
    point = PointBytes(dimensions=options.dimensions)
    core, gigabyte = options.core_price * MONTH_HOURS, options.disk_price / 1e9
    for products in CATALOGUES:
        it = _cluster(products, point.int8_on_disk, point, options)
        queries = max(1.0, products * options.queries / MILLION)
        searching = math.ceil(queries * _search(products, it, options) / options.busy)
        crew = _workers(products * options.change / DAY, options.rate, options, busy=options.busy)
        month = (
            it.memory / 0.75 / 1e9 * options.memory_price * MONTH_HOURS
            + it.disk * gigabyte
            + searching * core,
            2 * products * sql_bytes(options.dimensions, generations=2) * gigabyte + 8 * core,
            math.ceil(queries * options.request / options.busy) * core,
            2 * crew * core,  # a core for the network, one for the decoder
            products * options.photo_bytes / 1e9 * options.image_price,
        )
        decoding = products * options.photo_decode / HOUR * options.core_price
        by_cpu = products / options.rate / HOUR * options.core_price
        by_gpu = products / options.gpu_rate / HOUR * options.gpu_price
        yield (
            _short(products),
            *(f"{it:,.0f}" for it in (queries, *month, sum(month))),
            *(f"{it + decoding:,.0f}" for it in (by_cpu, by_gpu)),
        )


def _workers(arrivals: float, rate: float, options: argparse.Namespace, *, busy: float) -> int:
    by_wait = servers_for(arrivals, rate, within=options.within, late=options.late)
    return max(by_wait, math.ceil(arrivals / rate / busy))


def _search(products: int, cluster: Cluster, options: argparse.Namespace) -> float:
    return search_seconds(products, cluster.shards, known=options.search, at=40_000)


def _cluster(products: int, each: float, point: PointBytes, options: argparse.Namespace) -> Cluster:
    return cluster_for(
        products,
        each,
        point,
        node=options.node * 1e9,
        replicas=options.replicas,
        generations=options.generations,
    )


def _short(number: float) -> str:
    for unit, name in ((BILLION, " billion"), (MILLION, " million")):
        if number >= unit:
            return f"{number / unit:,.3g}{name}"
    return f"{number:,.0f}"


def _bytes(number: float) -> str:
    unit, name = next((it for it in ((1e12, "TB"), (1e9, "GB")) if number >= it[0]), (1e6, "MB"))
    return f"{number / unit:,.{0 if number >= 10 * unit else 1}f} {name}"


def _minutes(seconds: float) -> str:
    return "under a minute" if seconds < 60 else f"{seconds / 60:,.0f} min"


TABLES = {it.__name__: it for it in (check, workers, drain, sizes, search, reembed, costs)}


def options_of(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").partition("\n")[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("tables", nargs="*", metavar="TABLE", help=", ".join(TABLES))
    _add_queue(parser)
    _add_index(parser)
    _add_costs(parser)
    options = parser.parse_args(arguments)
    if unknown := sorted(set(options.tables) - set(TABLES)):
        parser.error(f"there is no table {', '.join(unknown)}, only {', '.join(TABLES)}")
    return options


def _add_queue(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--seed", type=int, default=1)
    add("--arrivals", type=int, default=1_000_000, help="simulated arrivals of `check`")
    add("--rate", type=float, default=110, help="images/s of a worker, small images (measured)")
    add("--photo-rate", type=float, default=73, help="the same, photographs (measured)")
    add("--within", type=float, default=1, help="seconds that an image may wait for a worker")
    add("--late", type=float, default=0.01, help="share that may wait longer")
    add("--busy", type=float, default=0.8, help="how busy a worker or a core may be (chosen)")
    add("--crews", type=int, nargs="+", default=[1, 4, 16], help="workers of `drain`")
    add("--singles", type=float, default=50, help="single writes a second, mean of the day")
    add("--feed", type=int, default=2 * MILLION, help="images of the daily feed")
    add("--reindex", type=int, default=50 * MILLION, help="images of the re-index")
    add("--days", type=float, default=21, help="simulated days")


def _add_index(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--dimensions", type=int, default=512)
    add("--node", type=float, default=256, help="GB of memory of a node (chosen)")
    add("--replicas", type=int, default=2)
    add("--generations", type=int, default=2, help="the active one, and building or standby")
    add("--search", type=float, default=0.00026, help="CPU s, a search of 40,000 (measured)")
    add("--compare", type=float, default=0.2e-6, help="CPU s, one exact comparison (measured)")
    add("--build", type=float, default=0.0012, help="CPU s a point, graph with int8 (measured)")
    add("--request", type=float, default=0.0044, help="CPU s of a request in the API (measured)")
    add("--gpu-rate", type=float, default=5000, help="images/s of a GPU (NOT measured)")
    add("--gpu-cores", type=int, default=8, help="cores that decode for a GPU (chosen)")
    add("--decode", type=float, default=0.0008, help="CPU s, a small image (measured)")
    add("--photo-decode", type=float, default=0.0091, help="CPU s, a photograph (measured)")
    add("--photo-bytes", type=float, default=440_000, help="of a photograph (measured)")
    add("--log-bytes", type=float, default=6000, help="write-ahead log of a product (measured)")


def _add_costs(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--queries", type=float, default=10, help="queries/s for a million products (assumed)")
    add("--change", type=float, default=0.05, help="share of new images a day (assumed)")
    add("--core-price", type=float, default=0.04, help="of a core for an hour (assumed)")
    add("--memory-price", type=float, default=0.005, help="of a GB for an hour (assumed)")
    add("--disk-price", type=float, default=0.1, help="of a GB for a month (assumed)")
    add("--image-price", type=float, default=0.02, help="of a GB in a bucket, a month (assumed)")
    add("--gpu-price", type=float, default=2, help="of a GPU for an hour (assumed)")


def main() -> None:
    options = options_of()
    for name in options.tables or TABLES:
        header, *rows = TABLES[name](options)
        print(f"\n{name}\n")
        for row in (header, ["---"] * len(header), *rows):
            print(f"| {' | '.join(row)} |")


if __name__ == "__main__":
    main()
