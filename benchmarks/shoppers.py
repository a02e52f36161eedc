"""Events and lists at size: rows/s, memory, disk, and what a list costs beside similar products.

    python benchmarks/shoppers.py [--events 1000000] [--products 20000] [--rounds 300]

Everything is drawn by a seed. An installation of its own gets products with drawn vectors (128
dimensions, 50 looks) in an embedded index, and a file of events: shoppers of one or two looks, in
sessions of five. The file is imported as `lookalike events import` does, then counted. Then four
questions are asked in turn through the app, without a network, and the tenth percentiles of their
processor time are shown as ratios to that of similar products: of all rounds, of the first half and
of the second one, so that a busy machine can be told from a cost. The last lines ask for lists with
and without the log of answers, and for similar products while another process writes 1,000 events a
second, or writes and counts them, or rests, in turn: with `--only-writes` nothing else is asked.
`--data` keeps the installation, so that a later run asks it again without loading it.
"""

from __future__ import annotations

import argparse
import csv
import multiprocessing
import resource
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from enum import IntEnum
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import func, insert, select
from sqlalchemy.orm import Session

from backend import generations, logs
from backend.api import create_app
from backend.bootstrap import Services, build
from backend.catalogue import image_vectors
from backend.database import clock
from backend.database.engine import Database
from backend.database.models import (
    ACTIVE,
    Event,
    Generation,
    IndexEntry,
    Product,
    ProductDay,
    ProductPartners,
    ReadyRelations,
)
from backend.events import counting, record
from backend.events.event_file import EventFile
from backend.events.importing import import_events
from backend.events.kinds import Kind
from backend.events.partners import ROW
from backend.events.record import NewEvent
from backend.settings import read_settings
from backend.vectors import Point

LOOKS, SIZE, EACH = 50, 128, 1000
REPORTED = 50_000
NOW = datetime.now(UTC)


def fill(services: Services, products: int, rng: np.random.Generator) -> None:
    """Store products with drawn vectors, and write them into the index."""
    centres = rng.normal(size=(LOOKS, SIZE))
    vectors = centres[np.arange(products) % LOOKS] + rng.normal(0, 0.7, (products, SIZE))
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    generation = Generation(
        id=1, collection="drawn", embedder="drawn", fingerprint="drawn", size=SIZE, state=ACTIVE
    )
    services.db.write(lambda session: session.add(generation))
    for start in range(0, products, EACH):
        rows = range(start, min(start + EACH, products))
        services.db.write(lambda session, it=rows: _store(session, it, vectors))  # type: ignore[misc]
        points = [Point(id=at + 1, vector=vectors[at], payload={}, claim=1) for at in rows]
        services.indexes.of(generation).upsert(points)


def _store(session: Session, rows: range, vectors: np.ndarray) -> None:
    kinds = [f"type {at % 7}" for at in rows]
    session.execute(
        insert(Product),
        [
            {"id": at + 1, "sku": f"p-{at}", "article_type": kind, "sub_category": kind}
            for at, kind in zip(rows, kinds, strict=True)
        ],
    )
    done = {"wanted": 1, "embedded": 1, "indexed": 1, "claim": 1, "indexed_claim": 1}
    session.execute(
        insert(IndexEntry),
        [
            {
                "generation_id": 1,
                "product_id": at + 1,
                "embedded_digest": f"d-{at}",
                "requested_at": NOW,
                **done,
            }
            for at in rows
        ],
    )
    image_vectors.store(session, "drawn", {f"d-{at}": vectors[at] for at in rows})


def write_events(path: Path, events: int, products: int, rng: np.random.Generator) -> None:
    """Write a file of events: sessions of five, of shoppers who like one or two looks."""
    shoppers = max(10, events // 50)
    likes = rng.integers(0, LOOKS, (shoppers, 2))
    kinds = np.array(["view", "view", "view", "cart", "purchase"])
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["event_type", "product_id", "user_id", "user_session", "event_time"])
        for session in range(events // 5):
            shopper = int(rng.integers(shoppers))
            look = int(likes[shopper, int(rng.integers(2))])
            # few products are looked at often, as in shops
            places = (rng.pareto(1.2, 5) * 5).astype(int) % (products // LOOKS)
            at = NOW - timedelta(days=float(rng.uniform(0, 90)))
            for place, kind in zip(places, kinds[rng.integers(0, 5, 5)], strict=True):
                at += timedelta(seconds=30)
                name = f"p-{int(place) * LOOKS + look}"
                when = min(at, NOW).isoformat(timespec="seconds")
                writer.writerow([kind, name, f"u-{shopper}", f"s-{session}", when])


def load_events(services: Services, path: Path) -> None:
    """Import and count a file, and say how fast it was and what it takes."""
    before, peak = _disk(services), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began, spent = time.perf_counter(), time.process_time()
    report = import_events(services.db, EventFile(path).read(), days=365)
    imported, of_cpu = time.perf_counter() - began, time.process_time() - spent
    counted, took, cpu = count_events(services)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak
    stored = report.stored
    print(
        f"{stored:,} events stored: {stored / imported:,.0f} rows/s, {stored / of_cpu:,.0f} of CPU"
    )
    print(f"{counted:,} counted: {counted / took:,.0f} rows/s, {counted / cpu:,.0f} of CPU")
    print(f"memory: {grown / 1024:,.0f} MB more at its peak")
    print(f"disk: {(_disk(services) - before) / max(1, report.stored):,.0f} bytes an event")
    with services.db.read() as session:
        days = session.scalar(select(func.count()).select_from(ProductDay))
        size = session.scalar(select(func.sum(func.length(ProductPartners.packed)))) or 0
    print(f"{days:,} counts of days, {size // ROW.itemsize:,} pairs in {size / 1e6:,.0f} MB")


def count_events(services: Services) -> tuple[int, float, float]:
    """Count all events, and print the rate of each REPORTED; return how many, seconds, CPU."""
    began, spent, counted = time.perf_counter(), time.process_time(), 0
    since, reported = spent, 0
    while some := counting.count_some(services.db):
        counted += some
        if counted - reported >= REPORTED:
            now = time.process_time()
            rate = (counted - reported) / (now - since)
            print(f"{counted:,} counted, the last ones: {rate:,.0f} of CPU", flush=True)
            since, reported = now, counted
    return counted, time.perf_counter() - began, time.process_time() - spent


def _disk(services: Services) -> int:
    folder = services.settings.data_dir
    return sum(each.stat().st_size for each in folder.glob("*.sqlite*"))


def prepare(services: Services, *, limit: int) -> None:
    """Keep ready what goes with popular products, as workers do, and say what it takes."""
    with services.db.read() as session:
        generation = generations.active(session)
    began = time.perf_counter()
    done = services.together.prepare(generation, limit=limit)
    each = 1000 * (time.perf_counter() - began) / max(1, done)
    print(f"{done:,} products kept ready: {each:.1f} ms each")


def ask_in_turn(
    questions: dict[str, Callable[[], None]],
    rounds: int,
    *,
    now: Callable[[], float] = time.perf_counter,
) -> dict[str, list[float]]:
    """Ask each question once a round; return the seconds of each, by the clock `now`."""
    times: dict[str, list[float]] = {name: [] for name in questions}
    for _ in range(rounds):
        for name, ask in questions.items():
            began = now()
            ask()
            times[name].append(now() - began)
    return times


def show(times: dict[str, list[float]]) -> None:
    """Print tenth percentiles as ratios to the first question's, also of both halves of the rounds.

    They are of processor time: on a busy machine its median is that of the others' work, too.
    """
    first = next(iter(times.values()))
    half = len(first) // 2
    for name, each in times.items():
        ratios = [
            np.percentile(each[part], 10) / np.percentile(first[part], 10)
            for part in (slice(None), slice(half), slice(half, None))
        ]
        ms = 1000 * np.percentile(each, 10)
        print(f"{name:34} {ratios[0]:5.2f} x  ({ratios[1]:.2f}, {ratios[2]:.2f})  {ms:6.2f} ms")


def questions(services: Services, products: int, seed: int) -> dict[str, Callable[[], None]]:
    """Return what is asked: similar products, a shopper's list, what goes together, a visit's."""
    client, rng = create_app(services).test_client(), np.random.default_rng(seed)
    with services.db.read() as session:
        shoppers = list(session.scalars(select(Event.shopper).distinct().limit(2000)))
        kept = select(Product.sku).join(ReadyRelations, ReadyRelations.product_id == Product.id)
        warm = list(session.scalars(kept))

    def get(path: Callable[[], str]) -> Callable[[], None]:
        def ask() -> None:
            response = client.get(path())
            assert response.status_code == 200, response.text

        return ask

    def product() -> int:
        return int(rng.pareto(1.2) * 5) % (products // LOOKS) * LOOKS + int(rng.integers(LOOKS))

    return {
        "similar": get(lambda: f"/v1/products/p-{product()}/similar"),
        "similar, again": get(lambda: f"/v1/products/p-{product()}/similar"),
        "users/{id}/recommendations": get(
            lambda: f"/v1/users/{shoppers[int(rng.integers(len(shoppers)))]}/recommendations"
        ),
        "the same, an unknown shopper": get(lambda: "/v1/users/nobody/recommendations"),
        "together, products by demand": get(lambda: f"/v1/products/p-{product()}/together"),
        "together, any product": get(
            lambda: f"/v1/products/p-{int(rng.integers(products))}/together"
        ),
        "together, kept ready": get(
            lambda: f"/v1/products/{warm[int(rng.integers(len(warm)))]}/together"
        ),
    }


class Doing(IntEnum):
    """What another process does while questions are asked."""

    NOTHING = 0
    WRITING = 1
    COUNTING = 2  # writing, and counting what is new once a second


def beside_writes(services: Services, ask: Callable[[], None], rounds: int) -> None:
    """Ask while another process writes 1,000 events a second, counts them too, or rests, in turn.

    Each state lasts rounds / 10 questions at a time, so that a busy machine is busy for all.
    """
    context = multiprocessing.get_context("spawn")
    state, stop = context.Value("i", Doing.NOTHING), context.Event()
    written, counted = context.Value("l", 0), context.Value("l", 0)
    url = services.settings.database
    writer = context.Process(target=_write, args=(url, state, stop, written, counted))
    writer.start()
    state.value = Doing.WRITING
    while not written.value:  # it is still being started
        if not writer.is_alive():
            raise RuntimeError("the process that writes has ended")
        time.sleep(0.1)
    times: dict[Doing, list[float]] = {it: [] for it in Doing}
    spent = dict.fromkeys(Doing, 0.0)
    events = dict.fromkeys(Doing, 0)
    for _ in range(10):
        for doing in Doing:
            state.value = doing
            time.sleep(0.2)
            began, before = time.perf_counter(), written.value
            times[doing] += ask_in_turn({"": ask}, max(1, rounds // 10))[""]
            spent[doing] += time.perf_counter() - began
            events[doing] += written.value - before
    stop.set()
    writer.join(timeout=30)
    p99 = {it: statistics.quantiles(times[it], n=100)[98] for it in Doing}
    for doing in Doing:
        p50 = 1000 * statistics.median(times[doing])
        print(
            f"similar, beside {doing.name.lower():9} p50 {p50:.1f}, "
            f"p99 {1000 * p99[doing]:.1f} ms, {p99[doing] / p99[Doing.NOTHING]:.2f} x; "
            f"{events[doing] / spent[doing]:,.0f} events a second"
        )
    print(f"{written.value:,} events written, {counted.value:,} counted")


def _write(url: str, state: Any, stop: Any, written: Any, counted: Any) -> None:
    """Write 100 events each tenth of a second, as long as `state` says so."""
    db, number, due = Database(url), 0, time.monotonic()
    while not stop.is_set():
        due = max(due + 0.1, time.monotonic() - 1.0)  # a longer delay is not made up for
        time.sleep(max(0.0, due - time.monotonic()))
        if state.value == Doing.NOTHING:
            continue
        events = [
            NewEvent(
                kind=Kind.VIEW, sku=f"p-{at % 500}", user=f"w-{at % 97}", id=f"w-{number}-{at}"
            )
            for at in range(100)
        ]

        def store(session: Session, it: Sequence[NewEvent] = events) -> None:
            now = clock.now(session)
            record.record(
                session, [record.with_checked_time(e, now=now, days=365) for e in it], now=now
            )

        db.write(store)
        number += 1
        written.value += len(events)
        if state.value == Doing.COUNTING and number % 10 == 0:
            counted.value += counting.count_some(db)
    db.engine.dispose()


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--products", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=300)
    parser.add_argument("--prepared", type=int, default=1000, help="popular products kept ready")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only-writes", action="store_true", help="ask only beside writes")
    parser.add_argument(
        "--data",
        type=Path,
        help="keep the installation in this folder; one that is there is asked as it is, and needs "
        "the same --products",
    )
    options = parser.parse_args()
    logs.configure("error")
    with tempfile.TemporaryDirectory() as folder:
        data = options.data or Path(folder) / "data"
        is_there = data.exists()
        services = build(read_settings(_env_file=None, data_dir=data))
        services.owner.acquire()
        try:
            if not is_there:
                load(services, Path(folder) / "events.csv", options)
            measure(services, options)
        finally:
            services.close()
    return 0


def load(services: Services, path: Path, options: argparse.Namespace) -> None:
    rng = np.random.default_rng(options.seed)
    fill(services, options.products, rng)
    write_events(path, options.events, options.products, rng)
    print(f"{options.products:,} products, a file of {path.stat().st_size / 1e6:.0f} MB")
    load_events(services, path)


def measure(services: Services, options: argparse.Namespace) -> None:
    prepare(services, limit=options.prepared)
    asked = questions(services, options.products, options.seed)
    if options.only_writes:
        beside_writes(services, asked["similar"], options.rounds)
        return
    show(ask_in_turn(asked, options.rounds, now=time.thread_time))
    log = services.answer_log
    name = "users/{id}/recommendations"
    silent = _silent(asked[name], services)
    logged = {"without a log of answers": silent, "with it": asked[name]}
    show(ask_in_turn(logged, options.rounds, now=time.thread_time))
    log.flush()
    beside_writes(services, asked["similar"], options.rounds)


def _silent(ask: Callable[[], None], services: Services) -> Callable[[], None]:
    log = services.answer_log

    def silently() -> None:
        most, log._most = log._most, 0
        ask()
        log._most = most

    return silently


if __name__ == "__main__":
    raise SystemExit(main())
