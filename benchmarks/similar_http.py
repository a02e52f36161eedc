"""Similar items by sku over HTTP, beside a bare engine call and a prototype of sixty lines.

    python benchmarks/similar_http.py prepare catalogue.zip /tmp/similar   # minutes, once
    python benchmarks/similar_http.py compare /tmp/similar --rounds 5
    python benchmarks/similar_http.py engine /tmp/similar 8               # and 1: search threads

`prepare` imports a zip of `styles.csv` and images, and embeds it by `mean-colour?grid=13`: the
downscaled images themselves, 508 dimensions, no network. `compare` serves two copies of the folder,
by `lookalike serve` with keys and by the prototype, and lets `wrk` ask both in turn. The
prototype (two SELECTs, one engine call, orjson; no keys, checks, logs or counts) runs over the
same HTTP server. Only the ratios say something on a busy machine.
"""

from __future__ import annotations

import json
import os
import random
import re
import resource
import shutil
import socket
import sqlite3
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.request import urlopen

import numpy as np
import orjson
import psutil
import qdrant_edge as qe
import typer
from flask import Flask, Response, request

from backend.serving import listening
from backend.serving.gateway import Gateway
from backend.serving.limits import HttpLimits
from backend.serving.server import Server
from backend.serving.special_paths import SpecialPaths

EMBEDDER: Final = "mean-colour?grid=13"
FILTER: Final = {"gender": "Men,Women", "base_colour_not": "Red", "year_gte": "2012"}
ASKED: Final = 3000
KEY: Final = "benchmark"
CONNECTIONS: Final = (1, 8, 32)
LIMITS: Final = HttpLimits()
LOOKALIKE: Final = Path(sys.executable).with_name("lookalike")

app = typer.Typer()


def environment(folder: Path, **changes: str) -> dict[str, str]:
    """Return the environment of a process that works on a data folder."""
    root = str(Path(__file__).parent.parent)
    ours = {"LOOKALIKE_DATA_DIR": str(folder), "LOOKALIKE_EMBEDDER": EMBEDDER, "PYTHONPATH": root}
    return os.environ | ours | changes


def lookalike(folder: Path, *arguments: str) -> str:
    """Run a command, and return what it prints."""
    done = subprocess.run(
        [str(LOOKALIKE), *arguments], env=environment(folder), check=True, stdout=subprocess.PIPE
    )
    return done.stdout.decode()


@app.command()
def prepare(catalogue: Path, folder: Path) -> None:
    """Import, embed and optimize a catalogue in an empty data folder, and make a second copy."""
    for arguments in (("import", str(catalogue)), ("index",), ("optimize",)):
        lookalike(folder / "ours", *arguments)
    create_key(folder)
    shutil.copytree(folder / "ours", folder / "prototype")


def create_key(folder: Path) -> None:
    """Make a key of the shop `ours` in a folder, and put it beside it."""
    made = lookalike(folder / "ours", "keys", "create", KEY, "--scope", "read")
    found = re.search(r"lk_[0-9a-f]{12}_[0-9a-f]{64}", made)
    assert found
    (folder / "key").write_text(found[0])


# --- the prototype ---------------------------------------------------------------------------


class Prototype:
    """What a query cannot do without: two SELECTs, one engine call, and JSON."""

    def __init__(self, folder: Path, search_threads: int = 1) -> None:
        self.sql = sqlite3.connect(folder / "lookalike.sqlite", check_same_thread=False)
        self.sql.row_factory = lambda cursor, row: {
            column[0]: value for column, value in zip(cursor.description, row, strict=True)
        }
        collection, self.fingerprint = (
            self.sql.execute(
                "SELECT collection, fingerprint FROM generations WHERE state = 'active'"
            )
            .fetchone()
            .values()
        )
        state = json.loads((folder / "index" / collection / "store.json").read_text())
        rows = self.sql.execute(
            "SELECT product_id, vector FROM index_entries JOIN image_vectors"
            " ON image_digest = embedded_digest"
        )
        self.vectors = {
            row["product_id"]: np.frombuffer(row["vector"], "<f2").astype(np.float32).tolist()
            for row in rows
        }
        size = len(next(iter(self.vectors.values())))
        self.shard = qe.EdgeShard.load(
            str(folder / "index" / collection / state["folder"]),
            qe.EdgeConfig(  # one thread, as ours: the one that asks
                vectors=qe.EdgeVectorParams(size=size, distance=qe.Distance.Cosine),
                max_search_threads=search_threads,
            ),
        )

    def search(self, vector: list[float], where: qe.Filter | None, limit: int) -> list[Any]:
        """Ask the engine."""
        found: list[Any] = self.shard.query(
            qe.QueryRequest(query=qe.Query.Nearest(vector), limit=limit, filter=where)
        )
        return found

    def similar(self, sku: str, filtered: bool) -> bytes:
        """Answer as JSON."""
        found = self.sql.execute("SELECT id FROM products WHERE sku = ?", (sku,)).fetchone()
        hits = self.search(self.vectors[found["id"]], engine_filter() if filtered else None, 11)
        marks = ",".join("?" * len(hits))
        rows = self.sql.execute(
            f"SELECT * FROM products WHERE id IN ({marks}) AND removed_at IS NULL AND in_stock",
            [hit.id for hit in hits],
        ).fetchall()
        by_id = {row["id"]: row for row in rows}
        items = [
            {"sku": by_id[hit.id]["sku"], "score": hit.score, "product": by_id[hit.id]}
            for hit in hits
            if hit.id in by_id and hit.id != found["id"]
        ]
        return orjson.dumps({"items": items})


def engine_filter() -> qe.Filter:
    """Return FILTER in the engine's words."""
    match, field = qe.MatchAny, qe.FieldCondition
    return qe.Filter(
        must=[
            field(key="gender", match=match(any=["Men", "Women"])),
            field(key="year", range=qe.RangeFloat(gte=2012)),
        ],
        must_not=[field(key="base_colour", match=match(any=["Red"]))],
    )


@app.command()
def prototype(folder: Path, port: int, threads: int = 4) -> None:
    """Serve the prototype, and what only the engine takes under /bare."""
    made = Prototype(folder)
    flask = Flask("prototype")

    @flask.get("/v1/products/<sku>/similar")
    def similar(sku: str) -> Response:
        body = made.similar(sku, bool(request.query_string))
        return Response(body, content_type="application/json")

    @flask.get("/bare")
    def bare() -> Response:
        asked = random.Random(1).sample(list(made.vectors.values()), 300)
        where = engine_filter() if request.query_string else None
        times = sorted(seconds(lambda v=v: made.search(v, where, 10)) for v in asked)
        shown = {"p50": times[150] * 1000, "p99": times[297] * 1000}
        return Response(orjson.dumps(shown), content_type="application/json")

    listener = listening.listen("127.0.0.1", port)
    ours, _theirs = socket.socketpair()
    gateway = Gateway(flask, threads=threads, limits=LIMITS, paths=SpecialPaths())
    Server(gateway, limits=LIMITS, master=ours, max_requests=0, on_stop=lambda: None).run(
        sockets=[listener]
    )


def seconds(call: Callable[[], object]) -> float:
    """Return how long a call takes."""
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


@app.command()
def engine(folder: Path, search_threads: int, searches: int = 1500, pause: float = 0.002) -> None:
    """Print what one search costs by so many threads of the engine, with pauses as in a server."""
    made = Prototype(folder / "prototype", search_threads)
    asked = random.Random(1).choices(list(made.vectors.values()), k=searches)
    before, times = resource.getrusage(resource.RUSAGE_SELF), []
    for vector in asked:
        times.append(seconds(lambda v=vector: made.search(v, None, 18)))
        time.sleep(pause)
    after, times = resource.getrusage(resource.RUSAGE_SELF), sorted(times)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    waits = after.ru_nvcsw - before.ru_nvcsw - searches  # but for the pauses
    print(
        f"{search_threads} threads: p50 {1000 * times[searches // 2]:.2f} ms,"
        f" p99 {1000 * times[searches * 99 // 100]:.2f} ms,"
        f" processor time {1000 * spent / searches:.2f} ms; a search waits {waits / searches:.1f}"
        f" times, and gives way {(after.ru_nivcsw - before.ru_nivcsw) / searches:.0f} times"
    )


# --- the comparison --------------------------------------------------------------------------


@contextmanager
def serving(
    arguments: list[str], port: int, folder: Path, **changes: str
) -> Iterator[psutil.Process]:
    """Run a server until the end of the `with`."""
    process = subprocess.Popen(
        arguments, env=environment(folder, **changes), stderr=subprocess.DEVNULL
    )
    try:
        for _ in range(600):
            time.sleep(0.1)
            assert process.poll() is None, f"{arguments} ended"
            with suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                break
        time.sleep(2)
        yield psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait(60)


def free_port() -> int:
    """Return a port that nothing listens on."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
    return port


@dataclass(frozen=True)
class Load:
    """What `wrk` measured; times in milliseconds.

    `processor` is the processor time that the server took for one request, which other work on the
    same machine changes least.
    """

    rate: float
    p50: float
    p99: float
    processor: float


LUA: Final = """
local skus = {%s}
local tail = "%s"
math.randomseed(%d)
function request()
  return wrk.format("GET", "/v1/products/" .. skus[math.random(#skus)] .. "/similar" .. tail)
end
function done(summary, latency)
  io.write(string.format("RESULT %%d %%d %%d %%d %%d\\n", summary.requests, summary.duration,
    latency:percentile(50), latency:percentile(99), summary.errors.status))
end
"""


@dataclass(frozen=True)
class Asked:
    """A server, and what is asked of it."""

    port: int
    process: psutil.Process
    skus: list[str]
    key: str


def processor_seconds(process: psutil.Process) -> float:
    """Return the processor time of a process and its children."""
    times = [each.cpu_times() for each in (process, *process.children(recursive=True))]
    return sum(each.user + each.system for each in times)


def load(server: Asked, tail: str, *, connections: int, lasts: int) -> Load:
    """Ask for random products."""
    script = Path(f"/tmp/similar-{os.getpid()}.lua")
    quoted = ",".join(f'"{sku}"' for sku in server.skus)
    script.write_text(LUA % (quoted, tail, connections))
    header = f"Authorization: Bearer {server.key}"
    command = ["wrk", "-t1", f"-c{connections}", f"-d{lasts}s", "-s", str(script), "-H", header]
    before = processor_seconds(server.process)
    said = subprocess.run(
        [*command, f"http://127.0.0.1:{server.port}"], capture_output=True, text=True, check=True
    ).stdout
    spent = processor_seconds(server.process) - before
    script.unlink()
    count, micros, p50, p99, errors = map(int, said.rpartition("RESULT")[2].split())
    assert not errors, f"{errors} answers were errors"
    return Load(1e6 * count / micros, p50 / 1000, p99 / 1000, 1000 * spent / count)


def bare_ms(port: int, tail: str) -> float:
    """Return the median of bare engine calls in the prototype's process."""
    with urlopen(f"http://127.0.0.1:{port}/bare{tail}") as answer:
        found: float = json.load(answer)["p50"]
    return found


def some_skus(folder: Path) -> list[str]:
    """Return products of the catalogue that are in the index."""
    with sqlite3.connect(folder / "lookalike.sqlite") as sql:
        rows = sql.execute(
            "SELECT sku FROM products JOIN index_entries ON product_id = id"
            " WHERE indexed > 0 AND sku NOT LIKE '% %' ORDER BY random() LIMIT ?",
            (ASKED,),
        )
        return [row[0] for row in rows]


@app.command()
def compare(folder: Path, rounds: int = 5, lasts: int = 4, threads: str = "") -> None:
    """Print medians over interleaved rounds."""
    key, skus = (folder / "key").read_text(), some_skus(folder / "ours")
    ours, theirs = free_port(), free_port()
    changes = {"LOOKALIKE_REQUIRE_KEYS": "true"}
    if threads:
        changes["LOOKALIKE_THREADS"] = threads
    serve = [str(LOOKALIKE), "serve", "--port", str(ours)]
    bench = [sys.executable, __file__, "prototype", str(folder / "prototype"), str(theirs)]
    filtered = "&".join(f"{name}={value}" for name, value in FILTER.items())
    tails = {"no filter": "", "three clauses": f"?{filtered}"}
    with ExitStack() as stack:
        mine = stack.enter_context(serving(serve, ours, folder / "ours", **changes))
        other = stack.enter_context(serving(bench, theirs, folder / "prototype"))
        servers = {
            "prototype": Asked(theirs, other, skus, key),
            "ours": Asked(ours, mine, skus, key),
        }
        for name, tail in tails.items():
            measure(name, tail, servers, rounds=rounds, lasts=lasts)


def measure(name: str, tail: str, servers: dict[str, Asked], *, rounds: int, lasts: int) -> None:
    """Measure one kind of query, and print its lines of a table."""
    found: dict[tuple[str, int], list[Load]] = {}
    bare: list[float] = []
    for _ in range(rounds):
        bare.append(bare_ms(servers["prototype"].port, tail))
        for connections in CONNECTIONS:
            for who, server in servers.items():
                took = load(server, tail, connections=connections, lasts=lasts)
                found.setdefault((who, connections), []).append(took)
    print(f"{name}: bare engine call {statistics.median(bare):.2f} ms", flush=True)
    for (who, connections), each in found.items():
        p50, p99, rate, processor = (
            statistics.median(getattr(it, field) for it in each)
            for field in ("p50", "p99", "rate", "processor")
        )
        print(
            f"{name} | {who} | {connections} | p50 {p50:.2f} ms | p99 {p99:.2f} ms |"
            f" {rate:,.0f} requests/s | {processor:.2f} ms of processor time a request",
            flush=True,
        )
    for connections in CONNECTIONS:
        pairs = list(zip(found["ours", connections], found["prototype", connections], strict=True))
        p50 = statistics.median(mine.p50 / other.p50 for mine, other in pairs)
        processor = statistics.median(mine.processor / other.processor for mine, other in pairs)
        print(
            f"{name}: ours / prototype, {connections} connections: p50 {p50:.2f}, processor time"
            f" {processor:.2f}",
            flush=True,
        )


if __name__ == "__main__":
    app()
