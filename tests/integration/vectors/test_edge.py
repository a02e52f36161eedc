"""The embedded shard's own promises: one owner, no forks, nothing acknowledged is lost."""

from __future__ import annotations

import errno
import itertools
import resource
import shutil
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support.host_faults import no_file_descriptors

from backend.errors import ConfigurationError, IndexDamaged, IndexLocked, IndexUnavailable
from backend.filters import Condition, FieldType
from backend.vectors import Point
from backend.vectors.edge import folders, handle, shard
from backend.vectors.edge.index import EdgeIndex

SCHEMA: dict[str, FieldType] = {"gender": "keyword"}

UNSHARE = shutil.which("unshare")
MAY_MOUNT = UNSHARE is not None and not subprocess.call(
    [UNSHARE, "--mount", "true"], stderr=subprocess.DEVNULL
)

PREAMBLE = """
import os, shutil, signal, sys
from pathlib import Path
import numpy as np
from backend.errors import IndexFull
from backend.vectors import Point
from backend.vectors.edge import shard as edge_shard
from backend.vectors.edge.index import EdgeIndex

path = Path(sys.argv[1])
index = EdgeIndex(path, size=4, schema={"gender": "keyword"})

def free(path):
    return shutil.disk_usage(path).free

def points(ids, claim):
    return [Point(id=n, vector=np.ones(4), payload={"gender": "x"}, claim=claim) for n in ids]
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the shard of a test lies."""
    return tmp_path / "index" / "shard"


@pytest.fixture
def index(path: Path) -> Iterator[EdgeIndex]:
    """An index that was not opened yet."""
    made = EdgeIndex(path, size=4, schema=SCHEMA)
    yield made
    made.close()


def test_a_vector_that_was_asked_by_and_then_changed_is_another_query(index: EdgeIndex) -> None:
    axes = np.eye(4, dtype=np.float32)
    index.upsert([Point(id=n, vector=axes[n], payload={}, claim=1) for n in range(4)])
    asked = axes[1].copy()
    for _ in range(2):
        assert index.nearest(asked, limit=1)[0].id == 1
    asked[:] = axes[2]
    assert index.nearest(asked, limit=1)[0].id == 2
    assert index.nearest(axes[3].astype(np.float64), limit=1)[0].id == 3
    first, second = index.nearest_each([(axes[0], None), (axes[1], None)], limit=1)
    assert [first[0].id, second[0].id] == [0, 1]


def test_a_search_runs_in_the_thread_that_asks(index: EdgeIndex) -> None:
    """The engine's own threads would have to be woken, and the asking one again, by each search."""
    axes = np.eye(4, dtype=np.float32)
    index.upsert([Point(id=n, vector=axes[n], payload={}, claim=1) for n in range(4)])
    searches = 200
    before = resource.getrusage(resource.RUSAGE_THREAD).ru_nvcsw
    for number in range(searches):
        assert len(index.nearest(axes[number % 4], limit=2)) == 2
    waited = resource.getrusage(resource.RUSAGE_THREAD).ru_nvcsw - before
    assert waited < searches / 2


def a_point(id: int, *, claim: int = 1, **payload: object) -> Point:
    return Point(id=id, vector=np.ones(4, dtype=np.float32), payload=payload, claim=claim)


def script(body: str) -> list[str]:
    """The command of another process, whose first argument is the shard's path."""
    return [sys.executable, "-W", "ignore", "-c", PREAMBLE + textwrap.dedent(body)]


def run(body: str, path: Path) -> subprocess.CompletedProcess[str]:
    """Run it to its end."""
    command = [*script(body), str(path)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


# --- opening --------------------------------------------------------------------------------


def test_nothing_is_opened_before_the_first_call(index: EdgeIndex, path: Path) -> None:
    assert not path.parent.exists()
    index.ping()
    assert path.is_dir()


def test_an_index_that_was_never_opened_can_be_closed(path: Path) -> None:
    EdgeIndex(path, size=4, schema=SCHEMA).close()
    assert not path.parent.exists()


def test_points_are_there_after_closing_and_opening_again(index: EdgeIndex, path: Path) -> None:
    index.upsert([a_point(1, gender="Men"), a_point(2, claim=7)])
    index.delete({1: 1})
    index.close()
    again = EdgeIndex(path, size=4, schema=SCHEMA)
    assert list(again.claims()) == [(2, 7)]
    again.upsert([a_point(3)])
    assert again.count() == 2
    again.close()


def test_a_field_that_joins_the_schema_later_is_indexed_with_the_points_that_are_there(
    index: EdgeIndex, path: Path
) -> None:
    index.upsert([a_point(1, year=2012, attributes={"pile height": "high"}), a_point(2)])
    index.close()
    schema: dict[str, FieldType] = {
        **SCHEMA,
        "year": "integer",
        "attributes.pile height": "keyword",
    }
    for _ in ("added", "present"):
        again = EdgeIndex(path, size=4, schema=schema)
        assert again.facet("year") == [(2012, 1)]
        assert again.facet("attributes.pile height") == [("high", 1)]
        assert again.count({"year": Condition(gte=2000)}) == 1
        again.close()


def test_vectors_of_another_size_need_another_folder(index: EdgeIndex, path: Path) -> None:
    index.upsert([a_point(1)])
    index.close()
    other = EdgeIndex(path, size=5, schema=SCHEMA)
    with pytest.raises(ConfigurationError, match="size 5"):
        other.ping()


def test_a_damaged_shard_is_unavailable_with_its_reason(index: EdgeIndex, path: Path) -> None:
    index.upsert([a_point(1)])
    index.close()
    [state] = path.glob("shard-1/segments/*/segment.json")
    state.write_text("{")
    again = EdgeIndex(path, size=4, schema=SCHEMA)
    with pytest.raises(IndexUnavailable, match="segment"):
        again.ping()


def test_a_place_where_no_folder_can_be_made_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(IndexUnavailable):
        EdgeIndex(tmp_path / "file" / "shard", size=4, schema=SCHEMA).ping()


def test_a_write_is_refused_before_the_disk_is_full(
    index: EdgeIndex, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index.upsert([a_point(1)])
    monkeypatch.setattr(shard, "RESERVE", 2**62)
    with pytest.raises(IndexUnavailable, match="disk"):
        index.upsert([a_point(2)])
    with pytest.raises(IndexUnavailable, match="disk"):
        EdgeIndex(path.with_name("new"), size=4, schema=SCHEMA).ping()
    assert list(index.claims()) == [(1, 1)]
    monkeypatch.undo()
    index.upsert([a_point(2)])
    assert index.count() == 2


@pytest.mark.skipif(not MAY_MOUNT, reason="mounts a disk in memory")
def test_an_index_on_a_full_disk_in_memory_is_refused_and_the_process_lives(path: Path) -> None:
    code = f"""{PREAMBLE}
index.upsert(points([1, 2, 3], 1))
index.close()
filler = path.parent / "filler"
os.posix_fallocate(os.open(filler, os.O_CREAT | os.O_RDWR), 0, free(path) - 2**20)
again = EdgeIndex(path, size=4, schema={{"gender": "keyword"}})
for action in (again.ping, again.count):
    try:
        action()
    except IndexFull as error:
        print(error.message)
os.truncate(filler, 0)
print("then", again.count())
"""
    mounted = (
        f'mkdir -p {path.parent} && mount -t tmpfs -o size=500m tmpfs {path.parent} && exec "$@"'
    )
    ran = subprocess.run(
        ["unshare", "--mount", "sh", "-c", mounted, "sh", sys.executable, "-c", code, path],
        capture_output=True,
        text=True,
        check=False,
    )
    *refused, last = ran.stdout.splitlines()
    assert (ran.returncode, last) == (0, "then 3"), ran.stderr
    assert len(refused) == 2
    assert all("(tmpfs)" in said for said in refused)


def no_room_for_fields(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise IndexUnavailable("No space left on device (os error 28)")

    monkeypatch.setattr(shard, "index_fields", fail)


def no_room_for_the_count(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_file: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(handle, "WriteCounter", fail)


@pytest.mark.parametrize("fail", [no_room_for_fields, no_room_for_the_count])
def test_an_opening_that_the_host_cuts_short_does_not_stand_in_the_way_of_the_next(
    index: EdgeIndex, monkeypatch: pytest.MonkeyPatch, fail: Callable[[pytest.MonkeyPatch], None]
) -> None:
    """The error is kept here, as the worker's thread may keep it, and with it its frames."""
    fail(monkeypatch)
    with pytest.raises(IndexUnavailable, match="os error 28") as kept:
        index.ping()
    assert not isinstance(kept.value, IndexDamaged)
    monkeypatch.undo()
    index.upsert([a_point(1)])
    assert index.count() == 1


def test_a_write_into_a_folder_that_was_removed_is_refused(index: EdgeIndex, path: Path) -> None:
    index.upsert([a_point(1)])
    shutil.rmtree(path)
    with pytest.raises(IndexUnavailable, match="folder"):
        index.upsert([a_point(2)])


def test_a_neighbour_with_just_the_least_score_is_returned(index: EdgeIndex) -> None:
    rng = np.random.default_rng(0)
    index.upsert([replace(a_point(n), vector=rng.normal(size=4)) for n in range(100)])
    hits = index.nearest(np.ones(4, dtype=np.float32), limit=100)
    for rank in (0, 40, 98):
        least = hits[rank].score
        found = index.nearest(np.ones(4, dtype=np.float32), limit=100, min_score=least)
        assert found == hits[: rank + 1]


# --- dying ----------------------------------------------------------------------------------

DEATHS = {
    "before the new shard has its name": "Path.rename",
    "before its fields are indexed": "edge_shard.index_fields",
    "before it is loaded": "edge_shard.sync_folder",
}


@pytest.mark.parametrize("moment", DEATHS.values(), ids=DEATHS)
def test_a_process_killed_while_it_makes_the_shard_leaves_none_that_cannot_be_opened(
    index: EdgeIndex, path: Path, moment: str
) -> None:
    killed = run(
        f"{moment} = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)\nindex.ping()", path
    )
    assert killed.returncode == -signal.SIGKILL
    index.upsert([a_point(1, gender="Men")])
    assert index.facet("gender") == [("Men", 1)]


@pytest.mark.parametrize("left", ["shard-1", "shard-1.building"])
def test_an_empty_folder_or_a_half_made_shard_is_replaced(
    index: EdgeIndex, path: Path, left: str
) -> None:
    folder = path / left
    folder.mkdir(parents=True)
    if left != "shard-1":
        (folder / "segments").mkdir()
        (folder / "edge_config.json").write_text("{")
    index.upsert([a_point(1)])
    assert index.count() == 1
    assert sorted(it.name for it in path.iterdir()) == ["shard-1", "shard-1.written"]


def test_a_killed_writer_loses_nothing_that_was_acknowledged(index: EdgeIndex, path: Path) -> None:
    body = """
        for step in range(1, 10_000):
            index.upsert(points(range(step * 20, step * 20 + 20), claim=step))
            index.upsert(points(range(20), claim=step))
            index.delete({step * 20: step})
            print(step, flush=True)
    """
    with subprocess.Popen([*script(body), str(path)], stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout
        acknowledged = [int(writer.stdout.readline()) for _ in range(40)][-1]
        writer.kill()
    found = dict(index.claims())
    for step in range(1, acknowledged + 1):
        assert step * 20 not in found
        assert all(found[n] == step for n in range(step * 20 + 1, step * 20 + 20))
    assert all(found[n] >= acknowledged for n in range(20))
    [hit] = index.nearest(np.ones(4, dtype=np.float32), limit=1)
    assert hit.payload == {"gender": "x"}


# --- one owner ------------------------------------------------------------------------------

USE = """
    try:
        index.ping()
    except Exception as error:
        print(type(error).__name__, error)
    else:
        print("opened")
"""


def test_a_second_process_is_told_that_the_index_is_locked(index: EdgeIndex, path: Path) -> None:
    index.ping()
    assert run(USE, path).stdout.startswith("IndexLocked")
    index.close()
    assert run(USE, path).stdout == "opened\n"


def test_a_second_index_in_the_same_process_is_locked_out_too(index: EdgeIndex, path: Path) -> None:
    index.upsert([a_point(1)])
    second = EdgeIndex(path, size=4, schema=SCHEMA)
    with pytest.raises(IndexLocked):
        second.ping()
    second.close()
    assert index.count() == 1
    third = EdgeIndex(path, size=4, schema=SCHEMA)
    index.close()
    assert third.count() == 1
    third.close()


def test_a_shard_that_somebody_opened_without_the_lock_is_locked_as_well(
    index: EdgeIndex, path: Path
) -> None:
    index.ping()
    path.with_name("shard.lock").unlink()
    with pytest.raises(IndexLocked):
        EdgeIndex(path, size=4, schema=SCHEMA).ping()


def test_a_forked_child_is_refused_and_takes_nothing_from_its_parent(path: Path) -> None:
    forked = run(
        """
        index.upsert(points([1], claim=1))
        child = os.fork()
        if not child:
            for use in (index.count, index.ping, lambda: index.upsert(points([2], claim=1))):
                try:
                    use()
                except Exception as error:
                    print(type(error).__name__, error, flush=True)
            index.close()
            sys.exit()
        assert os.waitpid(child, 0)[1] == 0
        print(index.count())
        second = EdgeIndex(path, size=4, schema={"gender": "keyword"})
        try:
            second.ping()
        except Exception as error:
            print(type(error).__name__)
        """,
        path,
    )
    lines = forked.stdout.splitlines()
    assert [line.split()[0] for line in lines[:3]] == ["ConfigurationError"] * 3
    assert "fork" in lines[0]
    assert lines[3:] == ["1", "IndexLocked"]
    assert forked.returncode == 0, forked.stderr


def test_an_index_made_before_a_fork_and_first_used_after_it_works(path: Path) -> None:
    forked = run(
        """
        child = os.fork()
        if not child:
            index.upsert(points([1], claim=1))
            index.close()
            sys.exit()
        print(os.waitpid(child, 0)[1], list(index.claims()))
        """,
        path,
    )
    assert forked.stdout == "0 [(1, 1)]\n", forked.stderr


# --- threads --------------------------------------------------------------------------------


def test_threads_that_open_the_index_at_once_share_one_shard(index: EdgeIndex) -> None:
    start = threading.Barrier(8)

    def write(number: int) -> None:
        start.wait()
        index.upsert([a_point(number)])

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(write, range(8)))
    assert dict(index.claims()).keys() == set(range(8))


def test_searches_run_beside_writes_and_end_cleanly_when_the_index_is_closed(
    index: EdgeIndex,
) -> None:
    everything = [a_point(n) for n in range(200)]
    index.upsert(everything)

    def search() -> None:
        while True:
            assert len(index.nearest(np.ones(4, dtype=np.float32), limit=150)) == 150

    def write() -> None:
        for claim in itertools.count(2):
            index.upsert([replace(point, claim=claim) for point in everything])

    with ThreadPoolExecutor(4) as threads:
        endless = [threads.submit(work) for work in (search, write, search, write)]
        done, _ = wait(endless, timeout=0.3)
        index.close()
    assert not done
    assert [type(it.exception()) for it in endless] == [IndexUnavailable] * 4


def test_a_host_without_file_descriptors_does_not_have_its_index_deleted(tmp_path: Path) -> None:
    folders.write_state(tmp_path, folders.StoreState())
    with (
        no_file_descriptors(),
        pytest.raises(IndexUnavailable, match=r"store\.json cannot be read: Too many open files$"),
    ):
        folders.read_state(tmp_path)
    (tmp_path / "store.json").write_text("{")
    with pytest.raises(IndexUnavailable, match="is damaged"):
        folders.read_state(tmp_path)
