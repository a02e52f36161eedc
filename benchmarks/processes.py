"""Several API processes over one embedded index: two ways to share it, beside one process.

    python benchmarks/similar_http.py prepare catalogue.zip /tmp/similar   # minutes, once
    python benchmarks/processes.py prepare /tmp/similar /tmp/processes
    python benchmarks/processes.py compare /tmp/processes --rounds 5
    python benchmarks/processes.py calls /tmp/processes                    # seconds

- one: one process answers, owns the shard and works
- asked: another process owns the shard and works; the others ask it over a Unix socket
- copies: each process has a copy of the shard, and follows a journal of the owner's writes (a
  prototype: here only, without rebuilds of the graph, promotions or lost entries of the journal)

`wrk` asks them in turn for the neighbours of random products. On a busy machine only the ratios and
the processor times say something. `calls` compares the processor time of single searches, in the
process and over the socket: other work changes it least.
"""

from __future__ import annotations

import os
import pickle
import random
import re
import shutil
import signal
import socket
import statistics
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path
from typing import Any, Final, Never

import psutil
import requests
import typer
from similar_http import (
    CONNECTIONS,
    FILTER,
    LOOKALIKE,
    Asked,
    free_port,
    load,
    lookalike,
    serving,
    some_skus,
)

from backend import generations, logs
from backend.api import create_app
from backend.calls import Answering, Caller, make_pair
from backend.serving import child, listening
from backend.serving.master import Master
from backend.serving.special_paths import SpecialPaths
from backend.settings import Settings, read_settings
from backend.vectors import Point
from backend.vectors.edge import remote_index
from backend.vectors.edge.index import EdgeIndex
from backend.vectors.edge.remote_index import RemoteIndex
from backend.worker.owner import OwnerProcess
from backend.wsgi import SHORT_READS
from workers import services as distributed

JOURNAL: Final = "journal"
FOLLOW_SECONDS: Final = 0.1
WRITES: Final = 15

app = typer.Typer()


@app.command()
def prepare(source: Path, folder: Path, processes: int = 2) -> None:
    """Copy what `similar_http.py prepare` made, once for each server and each copy of a shard."""
    folder.mkdir(parents=True)
    first = source / "prototype"
    made = lookalike(first, "keys", "create", uuid.uuid4().hex, "--scope", "ingest")
    found = re.search(r"lk_[0-9a-f]{12}_[0-9a-f]{64}", made)
    assert found
    (folder / "key").write_text(found[0])
    for name in ("one", "asked", "copies", *(f"copy-{n}" for n in range(processes))):
        shutil.copytree(first, folder / name)


# --- copies: the prototype -------------------------------------------------------------------


@app.command()
def copies(folder: Path, port: int, processes: int = 2) -> None:
    """Serve by processes that have a copy of the shard each, beside one that owns the original."""
    logs.configure("warning")
    listener = listening.listen("127.0.0.1", port)
    (folder / "copies" / JOURNAL).write_bytes(b"")
    settings = read_settings().model_copy(update={"data_dir": folder / "copies"})
    _, calls = make_pair()
    own = partial(own_and_write_journal, settings, listener, calls)
    serve = partial(
        serve_copy, settings, listener, [folder / f"copy-{n}" for n in range(processes)]
    )
    sys.exit(Master(serve, count=processes, listener=listener, supporting=own).run())


def own_and_write_journal(
    settings: Settings, listener: socket.socket, calls: socket.socket, master: socket.socket
) -> int:
    """Own the original and work; append each written point to the journal."""
    listener.close()
    journal = (settings.data_dir / JOURNAL).open("ab", buffering=0)
    upsert = EdgeIndex.upsert

    def noted(index: EdgeIndex, points: Sequence[Point]) -> None:
        upsert(index, points)
        journal.write(pickle.dumps(list(points)))

    EdgeIndex.upsert = noted  # type: ignore[method-assign]
    services = distributed.build(settings, wait=True, serves=True)
    services.owner.acquire(url="http://127.0.0.1:1")
    OwnerProcess(services, calls).run(master)
    return 0


def serve_copy(
    settings: Settings, listener: socket.socket, folders: Sequence[Path], master: socket.socket
) -> int:
    """Serve from the first copy that no other process has."""
    original = settings.model_copy(
        update={"database_url": f"sqlite:///{settings.data_dir / 'lookalike.sqlite'}"}
    )
    for folder in folders:
        services = distributed.build(
            original.model_copy(update={"data_dir": folder}), wait=True, serves=True
        )
        with suppress(Exception):
            services.owner.acquire(url="http://127.0.0.1:1")
            break
    with services.db.read() as session:
        index = services.indexes.of(generations.active(session))
    journal = settings.data_dir / JOURNAL
    threading.Thread(target=follow, args=(index, journal), daemon=True).start()
    child.run(
        create_app(services, probes={}),
        threads=settings.threads,
        max_requests=0,
        max_body=20_000_000,
        paths=SpecialPaths(turns=SHORT_READS),
        listener=listener,
        master=master,
        on_stop=lambda: None,
    )
    return 0


def follow(index: Any, journal: Path) -> None:
    """Write into a copy what the owner has written into the original."""
    with journal.open("rb") as file:
        while True:
            time.sleep(FOLLOW_SECONDS)
            with suppress(EOFError):
                while True:
                    index.upsert(pickle.load(file))


# --- one call --------------------------------------------------------------------------------


@app.command()
def calls(folder: Path, count: int = 2000) -> None:
    """Print the processor time of one search, here and asked of another process."""
    asking, answering = make_pair()
    child_pid = os.fork()
    if child_pid == 0:
        index, _ = open_index(folder / "asked")
        serve_calls(index, answering)
    caller = Caller(asking)
    index, vectors = open_index(folder / "one")
    asked_index = RemoteIndex(caller, 0, size=index.size, schema=index.schema)
    rows: dict[str, list[float]] = {"here": [], "asked, here": [], "asked, there": []}
    for vector in vectors[:count]:
        rows["here"].append(spent(lambda v=vector: index.nearest(v, limit=11, payloads=False)))
        before = caller.call("spent")
        took = spent(lambda v=vector: asked_index.nearest(v, limit=11, payloads=False))
        rows["asked, here"].append(took)
        rows["asked, there"].append(caller.call("spent") - before)
    for name, each in rows.items():
        low, middle = (1000 * statistics.quantiles(each, n=10)[at] for at in (0, 4))
        print(f"{name}: {middle:.3f} ms of processor time (tenth percentile {low:.3f})")
    os.kill(child_pid, signal.SIGKILL)


def open_index(folder: Path) -> tuple[EdgeIndex, list[Any]]:
    """Open the active shard of a data folder; return it with the vectors of some products."""
    settings = read_settings().model_copy(update={"data_dir": folder})
    services = distributed.build(settings)
    with services.db.read() as session:
        index = services.indexes.of(generations.active(session))
    assert isinstance(index, EdgeIndex)
    ids = [id_ for id_, _ in index.claims()]
    random.Random(1).shuffle(ids)
    return index, list(index.vectors(ids[:4000]).values())


def serve_calls(index: EdgeIndex, answering: socket.socket) -> Never:
    """Answer searches and the processor time of the thread that answers them."""

    def answer(name: str, arguments: tuple[Any, ...], _more: dict[str, Any]) -> Any:
        return time.thread_time() if name == "spent" else remote_index.answer(index, *arguments[1:])

    Answering(answering, answer).start()
    while True:
        signal.pause()


def spent(call: Callable[[], object]) -> float:
    """Return the processor time of a call in this thread, in seconds."""
    began = time.thread_time()
    call()
    return time.thread_time() - began


# --- the comparison --------------------------------------------------------------------------


@app.command()
def compare(
    folder: Path, rounds: int = 5, lasts: int = 4, processes: int = 2, only: str = ""
) -> None:
    """Print medians over interleaved rounds; `only` names servers, such as `one,asked`."""
    key, skus = (folder / "key").read_text(), some_skus(folder / "one")
    filtered = "&".join(f"{name}={value}" for name, value in FILTER.items())
    tails = {"no filter": "", "three clauses": f"?{filtered}"}
    with ExitStack() as stack:
        servers: dict[str, Asked] = {}
        for name, arguments, changes in commands(folder, processes):
            if only and name not in only.split(","):
                continue
            port = free_port()
            changes |= {"LOOKALIKE_REQUIRE_KEYS": "true", "LOOKALIKE_LOG_LEVEL": "warning"}
            run = serving([*arguments, str(port)], port, folder / name, **changes)
            servers[name] = Asked(port, stack.enter_context(run), skus, key)
        for server in servers.values():
            wait_until_it_answers(server)
        for tail_name, tail in tails.items():
            measure(tail_name, tail, servers, rounds=rounds, lasts=lasts)
        for name, server in servers.items():
            print(f"{name} | memory {memory(server.process)}", flush=True)
            print(f"{name} | {staleness(server)}", flush=True)


def wait_until_it_answers(server: Asked) -> None:
    """Ask until all processes have answered, most likely."""
    url = f"http://127.0.0.1:{server.port}/v1/products/{server.skus[0]}/similar"
    answered = 0
    while answered < 20:
        with suppress(requests.ConnectionError):
            head = {"Authorization": f"Bearer {server.key}"}
            answered += requests.get(url, headers=head, timeout=60).ok
        time.sleep(0.05)


def commands(folder: Path, processes: int) -> Iterator[tuple[str, list[str], dict[str, str]]]:
    """Yield each server's name, its command without the port, and its settings."""
    serve = [str(LOOKALIKE), "serve", "--port"]
    yield "one", serve, {}
    yield "asked", serve, {"LOOKALIKE_API_PROCESSES": str(processes)}
    copies_of = [sys.executable, __file__, "copies", f"--processes={processes}", str(folder)]
    yield "copies", copies_of, {}


def measure(name: str, tail: str, servers: dict[str, Asked], *, rounds: int, lasts: int) -> None:
    """Measure one kind of query, and print its lines of a table."""
    for connections in CONNECTIONS:
        found: dict[str, list[Any]] = {who: [] for who in servers}
        for _ in range(rounds):
            for who, server in servers.items():
                found[who].append(load(server, tail, connections=connections, lasts=lasts))
        for who, each in found.items():
            rate, p50, p99, processor = (
                statistics.median(getattr(it, field) for it in each)
                for field in ("rate", "p50", "p99", "processor")
            )
            first = found[next(iter(servers))]
            ratio = statistics.median(
                it.rate / other.rate for it, other in zip(each, first, strict=True)
            )
            print(
                f"{name} | {connections} | {who} | {rate:,.0f} requests/s ({ratio:.2f}) |"
                f" p50 {p50:.2f} ms | p99 {p99:.2f} ms | {processor:.2f} ms of processor time",
                flush=True,
            )


def memory(process: psutil.Process) -> str:
    """Return the memory of a server: of each process its share, and what it has alone, in MB."""
    family = [process, *process.children(recursive=True)]
    found = [(one.memory_full_info(), one.name()) for one in family]
    total = sum(it.pss for it, _ in found) / 1e6
    each = ", ".join(f"{it.pss / 1e6:.0f} ({it.uss / 1e6:.0f})" for it, _ in found)
    return f"{total:.0f} MB: {each}"


def staleness(server: Asked) -> str:
    """Change a product, and ask over new connections until a filter finds it by the new value."""
    url, head = f"http://127.0.0.1:{server.port}", {"Authorization": f"Bearer {server.key}"}
    took: list[float] = []
    for sku in server.skus[:WRITES]:
        token = uuid.uuid4().hex
        changed = requests.patch(
            f"{url}/v1/products/{sku}",
            json={"season": token},
            headers=head | {"Content-Type": "application/merge-patch+json"},
            timeout=30,
        )
        if not changed.ok:
            return f"not measured: {changed.text[:200]}"
        began = time.monotonic()
        took.append(seconds_until_found(f"{url}/v1/facets", token, head) or 0.0)
        assert time.monotonic() - began < 30
    took.sort()
    return f"after a write found by all within p50 {took[len(took) // 2]:.2f} s, max {took[-1]:.2f}"


def seconds_until_found(url: str, value: str, head: dict[str, str]) -> float | None:
    """Return when, of ten new connections in a row, the last one that did not find it ended."""
    began, last_missed, in_a_row = time.monotonic(), 0.0, 0
    while in_a_row < 10:
        found = requests.get(
            url, params={"fields": "season", "limit": 500}, headers=head, timeout=30
        ).text
        in_a_row = in_a_row + 1 if value in found else 0
        if not in_a_row:
            last_missed = time.monotonic() - began
        if last_missed > 30:
            return None
    return last_missed


if __name__ == "__main__":
    app()
