"""The embedded index gets its graph from another process, and no moment of it can be harmful."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from sqlalchemy import delete, update
from support.places import ROOT, TESTS
from support.rows import make_generation
from support.servers import wait_for
from support.shop import Shop, stock, vector_of

from backend import jobs, status
from backend.database.engine import Database
from backend.database.models import RETIRED, Generation, ImageVector, IndexEntry, Product, utcnow
from backend.errors import IndexUnavailable
from backend.indexing import reconcile
from backend.indexing.snapshot import snapshot
from backend.jobs import DONE, FAILED
from backend.queue.progress import count_points
from backend.settings import Settings
from backend.vectors import Point
from backend.vectors.edge.copy import differing_ids
from backend.vectors.edge.folders import BuildResult, WriteCounter, look, read_state, write_state
from backend.vectors.edge.policy import Policy

COUNT = 300

pytestmark = pytest.mark.timeout(600)  # builders are nice, and other tests may be about


def stocked(settings: Settings, **changes: Any) -> Shop:
    """A shop of COUNT products, whose index has no graph yet."""
    shop = Shop(settings, embedder="mean-colour?grid=2", **changes)
    stock(shop.db, shop.generation, COUNT)
    shop.apply()
    return shop


@pytest.fixture
def shop(settings: Settings) -> Iterator[Shop]:
    with stocked(settings) as made:
        yield made


def wait_until(what: Callable[[], object]) -> None:
    """Wait for a builder, which gives way to everything else on the machine."""
    wait_for(what, seconds=240, every=0.02)


def start(shop: Shop, *, read: bool = True) -> psutil.Process:
    """Start a build; wait until it has read all points, so that what follows is news to it."""
    shop.worker.optimizer.start(shop.generation)
    build = shop.worker.optimizer.build_process
    assert build
    process = psutil.Process(build.pid)
    if read:
        wait_until(lambda: build.has_ended() or build.filled >= COUNT)
    return process


def folder_of(shop: Shop) -> Path:
    return shop.settings.index_dir / shop.generation.collection


def inside(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


def finds(shop: Shop, product_id: int) -> bool:
    """Tell whether a search with a product's own vector finds it first."""
    hits = shop.index.nearest(vector_of(product_id), limit=1)
    return bool(hits) and hits[0].id == product_id


def drift(shop: Shop) -> int:
    """Count the products that are not in the index as SQL says."""
    return reconcile(shop.db, shop.generation, shop.index, fix=False).total


def finish(shop: Shop) -> BuildResult:
    """Wait for the build to end and put it in its place."""
    optimizer = shop.worker.optimizer

    def has_ended() -> bool:
        optimizer.step([shop.generation])
        return optimizer.building is None

    wait_until(has_ended)
    return optimizer.outcome(1)


# --- the swap -------------------------------------------------------------------------------


def test_an_index_has_a_graph_after_a_build_and_keeps_it_when_it_is_opened_again(
    shop: Shop,
) -> None:
    assert not shop.index.indexed
    start(shop)
    built = finish(shop)
    assert (built.points, built.caught_up) == (COUNT, 0)
    assert shop.index.indexed
    assert (shop.index.dirty, drift(shop)) == (0, 0)
    assert inside(folder_of(shop)) == ["shard-2", "shard-2.written", "store.json"]
    shop.restart()
    assert shop.index.indexed
    assert all(finds(shop, number) for number in range(1, COUNT + 1))


def test_what_changes_during_a_build_is_right_after_the_swap(shop: Shop) -> None:
    start(shop)
    shop.remove("s1", "s2", "s3")
    shop.reprice(range(10, 20), 9.5)
    shop.apply()
    late = Point(id=9999, vector=vector_of(9999), payload={"price": 3.0}, claim=1)
    shop.index.upsert([late])
    shop.index.set_payload(20, {"price": 7.0})
    built = finish(shop)
    prices = shop.prices()
    assert built.caught_up == 15
    assert not {1, 2, 3} & prices.keys()
    assert {number: prices[number] for number in (10, 19, 20, 21, 9999)} == {
        10: 9.5,
        19: 9.5,
        20: 7.0,
        21: 1.0,
        9999: 3.0,
    }
    assert finds(shop, 9999)
    assert shop.index.dirty == 15


@pytest.mark.slow
def test_what_the_index_held_when_the_build_began_is_not_lost_whatever_sql_knows_of_it(
    shop: Shop,
) -> None:
    impossible = update(Product).where(Product.id == 7).values(attributes={"a": 2**70})
    shop.execute(impossible)
    newer = Point(id=5, vector=vector_of(5), payload={"price": 2.0}, claim=50)
    unknown = replace(newer, id=8888, vector=vector_of(8888))
    shop.index.upsert([newer, unknown])
    shop.index.delete({6: 50})
    start(shop)
    built = finish(shop)
    assert (built.points, built.caught_up) == (COUNT - 1, 4)
    prices = shop.prices()
    assert (prices[5], prices[7], prices[8888], 6 in prices) == (2.0, 1.0, 2.0, False)


def test_points_written_after_the_swap_are_found_and_counted_once(shop: Shop) -> None:
    start(shop)
    finish(shop)
    news = [Point(id=n, vector=vector_of(n), payload={}, claim=1) for n in range(1000, 1050)]
    shop.index.upsert(news)
    shop.index.upsert([replace(point, claim=2) for point in news])
    assert all(finds(shop, point.id) for point in news)
    assert shop.index.dirty == 50
    shop.restart()
    assert shop.index.dirty == 50
    assert all(finds(shop, point.id) for point in news)


@pytest.mark.slow
def test_queries_are_answered_and_writes_accepted_all_the_while(shop: Shop) -> None:
    failures: list[BaseException] = []
    done = threading.Event()
    counts = {"queries": 0, "writes": 0}

    def until_done(name: str) -> None:
        while not done.is_set():
            try:
                number = counts[name] % 200 + 1
                if name == "queries":
                    assert finds(shop, number)
                else:
                    shop.index.set_payload(number, {"price": float(counts[name] // 200 + 2)})
            except BaseException as error:  # noqa: BLE001
                failures.append(error)
                return
            counts[name] += 1

    threads = [threading.Thread(target=until_done, args=(name,)) for name in counts]
    for thread in threads:
        thread.start()
    for _ in range(2):
        before = dict(counts)
        start(shop)
        wait_until(lambda: all(counts[name] > before[name] for name in counts))  # noqa: B023
        finish(shop)
    done.set()
    for thread in threads:
        thread.join()
    assert not failures
    last = counts["writes"] - 1
    prices = shop.prices()
    for write in range(max(0, last - 199), last + 1):
        assert prices[write % 200 + 1] == float(write // 200 + 2)
    assert inside(folder_of(shop)) == ["shard-3", "shard-3.written", "store.json"]


@pytest.mark.slow
def test_a_call_under_way_keeps_the_old_shard_until_it_ends(shop: Shop) -> None:
    start(shop)
    with shop.index.store.using() as old:
        swapping = threading.Thread(target=finish, args=(shop,))
        swapping.start()
        wait_until(lambda: (folder_of(shop) / "store.json").exists() and shop.index.indexed)
        assert finds(shop, 3)
        assert old.info().points_count == COUNT
        assert "shard-1" in inside(folder_of(shop))
    swapping.join(timeout=240)
    assert inside(folder_of(shop)) == ["shard-2", "shard-2.written", "store.json"]


@pytest.mark.slow
def test_the_options_of_a_generation_shape_its_graph(settings: Settings) -> None:
    shop = stocked(settings)
    change = update(Generation).values(
        quantization="int8", index_options={"hnsw_m": 24, "hnsw_ef_construct": 77}
    )
    shop.execute(change)
    shop.restart()
    start(shop)
    finish(shop)
    config = json.loads((folder_of(shop) / "shard-2" / "edge_config.json").read_text())
    assert config["hnsw_config"]["m"] == 24
    assert config["hnsw_config"]["ef_construct"] == 77
    assert config["quantization_config"]["scalar"]["type"] == "int8"
    assert all(finds(shop, number) for number in range(1, 100))
    shop.close()


# --- what goes wrong ------------------------------------------------------------------------


def test_a_builder_that_dies_leaves_the_index_as_it_was_and_says_why(shop: Shop) -> None:
    start(shop, read=False).kill()
    with pytest.raises(IndexUnavailable, match="SIGKILL"):
        finish(shop)
    assert inside(folder_of(shop)) == ["shard-1", "shard-1.written", "store.json"]
    assert len(shop.prices()) == COUNT
    described = status.status(shop.db, shop.services.indexes.look_at_shard)["shard"]
    assert "SIGKILL" in described["failure"]["reason"]
    assert not described["optimized"]
    start(shop)
    finish(shop)
    described = status.status(shop.db, shop.services.indexes.look_at_shard)["shard"]
    assert (described["failure"], described["optimized"]) == (None, True)


def test_a_builder_that_cannot_be_started_leaves_nothing_under_way(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    with monkeypatch.context() as patch:
        patch.setattr("backend.vectors.edge.build_process.start_module", refuse)
        with pytest.raises(IndexUnavailable, match=r"cannot be started: .*Too many open files"):
            shop.worker.optimizer.start(shop.generation)
    assert shop.worker.optimizer.building is None
    failure = look(folder_of(shop)).state.failure
    assert failure is not None
    assert "Too many open files" in failure.reason
    start(shop, read=False).kill()  # it said that a shard was being built already


def test_the_server_s_quantization_does_not_shape_an_embedded_shard(settings: Settings) -> None:
    shop = Shop(settings, embedder="mean-colour?grid=2", qdrant_quantization="int8")
    index = shop.services.indexes.shard_of(shop.generation)
    assert index is not None
    assert index.options.quantization is None
    shop.execute(update(Generation).values(quantization="int8"))
    shop.restart()
    index = shop.services.indexes.shard_of(shop.generation)
    assert index is not None
    assert index.options.quantization == "int8"
    shop.close()


def test_a_builder_that_cannot_read_the_catalogue_says_so(shop: Shop) -> None:
    shop.worker.optimizer.database_url = "sqlite:////nowhere/at/all.sqlite"
    start(shop, read=False)
    with pytest.raises(IndexUnavailable, match="the builder failed"):
        finish(shop)
    assert finds(shop, 1)


def test_a_build_of_a_retired_generation_is_given_up(shop: Shop) -> None:
    process, folder = start(shop, read=False), folder_of(shop)
    retire = update(Generation).values(state=RETIRED)
    shop.execute(retire)
    shop.worker.optimizer.step([])
    assert not process.is_running()
    assert inside(folder) == ["shard-1", "shard-1.written"]
    with pytest.raises(IndexUnavailable, match="was stopped"):
        shop.worker.optimizer.outcome(1)


def test_the_end_of_the_owner_ends_the_builder_too(shop: Shop) -> None:
    process = start(shop, read=False)
    shop.close()
    assert not process.is_running()


def test_only_one_shard_is_built_at_a_time(shop: Shop) -> None:
    start(shop, read=False)
    with pytest.raises(IndexUnavailable, match="being optimized"):
        shop.worker.optimizer.start(shop.generation)


# --- kill -9 --------------------------------------------------------------------------------

DEATHS = {
    "while points are read": "wait(lambda: build.has_ended() or build.total)",
    "while the graph is built": """
        wait(lambda: build.has_ended() or build.filled >= 300)
    """,
    "between build and swap": """
        edge_store.write_state = die
        wait(lambda: optimizer.step([generation]) or not optimizer.building)
    """,
    "while the swap is written": """
        Path.replace = die
        wait(lambda: optimizer.step([generation]) or not optimizer.building)
    """,
    "after the swap": """
        edge_handle.Handle.retire = die
        wait(lambda: optimizer.step([generation]) or not optimizer.building)
    """,
    "while the old shard is removed": """
        edge_handle.remove = die
        wait(lambda: optimizer.step([generation]) or not optimizer.building)
    """,
}

SWAPPED = [DEATHS[moment] for moment in ("after the swap", "while the old shard is removed")]

OWNER = """
import os, signal, sys
from pathlib import Path
from functools import partial
from support.servers import wait_for
from support.shop import Shop
from backend.settings import read_settings
from backend.vectors.edge import handle as edge_handle, store as edge_store

wait = partial(wait_for, seconds=240, every=0.02)

def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)

settings = read_settings(_env_file=None, data_dir=Path(sys.argv[1]))
shop = Shop(settings, embedder="mean-colour?grid=2")
optimizer, generation = shop.worker.optimizer, shop.generation
optimizer.start(generation)
build = optimizer.build_process
print("builder", build.pid, flush=True)
shop.remove("s1", "s2")
shop.reprice([3, 4], 9.5)
shop.apply()
"""


def run_owner(moment: str, settings: Settings) -> subprocess.CompletedProcess[str]:
    """Run a process that owns the index, begins a build, and dies at a certain moment of it."""
    body = OWNER + textwrap.dedent(moment) + "\ndie()\n"
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-c", body, str(settings.data_dir)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env={**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{TESTS}"},
    )


def is_alive(pid: int) -> bool:
    """Tell whether a process runs; one that ended may not have been waited for."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    return False


@pytest.mark.slow
@pytest.mark.parametrize("moment", DEATHS.values(), ids=DEATHS)
def test_an_owner_killed_at_any_moment_leaves_a_whole_index(
    shop: Shop, settings: Settings, moment: str
) -> None:
    folder = folder_of(shop)
    shop.close()
    killed = run_owner(moment, settings)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    [builder] = re.findall(r"^builder (\d+)$", killed.stdout, re.MULTILINE)
    wait_until(lambda: not is_alive(int(builder)))
    optimized = read_state(folder).built is not None
    shop.start()
    prices = shop.prices()
    assert shop.index.indexed == optimized
    assert optimized == (moment in SWAPPED)
    assert prices == {n: 9.5 if n in (3, 4) else 1.0 for n in range(3, COUNT + 1)}
    assert all(finds(shop, number) for number in range(3, COUNT + 1))
    assert drift(shop) == 0
    shards = [name for name in inside(folder_of(shop)) if not name.endswith((".written", ".json"))]
    assert shards == [read_state(folder).folder]
    start(shop, read=False)
    finish(shop)
    assert shop.index.indexed


# --- who asks -------------------------------------------------------------------------------


def test_the_worker_builds_as_soon_as_an_index_is_large_enough(settings: Settings) -> None:
    shop = stocked(settings, optimize_points=COUNT, poll_seconds=0.1)
    with shop.working():
        wait_until(lambda: shop.index.indexed)
    assert drift(shop) == 0
    shop.close()


def test_a_job_builds_while_the_work_goes_on_and_tells_what_came_of_it(shop: Shop) -> None:
    job_id = jobs.write(shop.db, "optimize", {})
    shop.reprice([3], 9.5)
    job = shop.follow(job_id)
    assert job.state == DONE, job.error
    assert job.result
    assert (job.result["generation"], job.result["points"]) == (1, COUNT)
    assert (job.done, job.total) == (COUNT, 2 * COUNT)
    assert shop.prices()[3] == 9.5


def test_a_job_for_a_generation_that_is_not_there_fails(shop: Shop) -> None:
    job_id = jobs.write(shop.db, "optimize", {"generation": 7})
    job = shop.follow(job_id)
    assert (job.state, job.error) == (FAILED, "unknown-generation: there is no generation 7")


def test_a_job_for_a_generation_that_is_retired_fails(shop: Shop) -> None:
    retire = update(Generation).values(state=RETIRED)
    shop.execute(retire)
    job_id = jobs.write(shop.db, "optimize", {"generation": 1})
    job = shop.follow(job_id)
    assert job.error == "wrong-state: generation 1 is retired: its index is not in use"


@pytest.mark.parametrize(
    ("points", "dirty", "busy", "due"),
    [
        (99, None, False, False),
        (100, None, False, True),
        (100, None, True, True),
        (1000, 100, False, False),
        (1000, 101, False, True),
        (1000, 101, True, False),
        (1000, 501, True, True),
        (1000, 5000, False, True),
        (0, 0, False, False),
    ],
)
def test_a_graph_is_due_for_many_points_of_which_many_lie_outside_of_it(
    points: int, dirty: int | None, busy: bool, due: bool
) -> None:
    policy = Policy(points=100, dirty=0.1)
    assert policy.is_due(points=points, dirty=dirty, busy=busy) == due


# --- its parts ------------------------------------------------------------------------------


def test_a_snapshot_holds_what_sql_knows_to_be_indexed(any_db: Database) -> None:
    make_generation(any_db, size=13)
    with any_db.read() as session:
        generation = session.get_one(Generation, 1)
    stock(any_db, generation, 6)
    written = update(IndexEntry).where(IndexEntry.product_id <= 4).values(indexed_claim=3)
    removed = update(Product).where(Product.id == 2).values(removed_at=utcnow())
    lost = delete(ImageVector).where(ImageVector.image_digest == "d3")
    for change in (written, removed, lost):
        any_db.write(lambda session, it=change: session.execute(it))
    points = [point for page in snapshot(any_db, generation, {}) for point in page]
    with any_db.read() as session:
        assert count_points(session, generation.id) == 4
    assert [(point.id, point.claim, point.payload["price"]) for point in points] == [
        (1, 3, 1.0),
        (4, 3, 1.0),
    ]
    assert np.allclose(points[1].vector, vector_of(4), atol=1e-3)


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ([], [], []),
        ([(1, 1), (2, 1)], [(1, 1), (2, 1)], []),
        ([(1, 1), (3, 1)], [(2, 1), (3, 2)], [1, 2, 3]),
        ([(5, 1)], [], [5]),
        ([], [(5, 1), (6, 1)], [5, 6]),
        ([(1, 1), (2, 2), (9, 9)], [(2, 2)], [1, 9]),
    ],
)
def test_two_walks_differ_by_what_is_missing_or_of_another_claim(
    one: list[tuple[int, int]], other: list[tuple[int, int]], expected: list[int]
) -> None:
    assert list(differing_ids(one, other)) == expected
    assert list(differing_ids(other, one)) == expected


def test_a_tally_survives_its_process_and_a_torn_one_counts_from_zero(tmp_path: Path) -> None:
    file = tmp_path / "shard-1.written"
    tally = WriteCounter(file)
    tally.add(range(10))
    tally.add([9, 10])
    assert (tally.count, look(tmp_path).dirty) == (11, 11)
    tally.close()
    again = WriteCounter(file)
    again.add([1])
    assert again.count == 12
    again.close()
    file.write_bytes(b"0000x")
    assert look(tmp_path).dirty == 0


def test_the_state_of_a_store_is_read_as_it_was_written(tmp_path: Path) -> None:
    built = BuildResult(at="2026-01-01T00:00:00+00:00", points=5, seconds=1.5, caught_up=2)
    state = replace(read_state(tmp_path), folder="shard-12", built=built)
    write_state(tmp_path, state)
    assert read_state(tmp_path) == state
    assert not look(tmp_path).building
    (tmp_path / "shard-13").mkdir()
    assert look(tmp_path).building
