"""The counts of several processes add up: no count is lost with a process, and none comes twice."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import structlog
from support.servers import wait_for

from backend.metrics import counted, snapshots
from backend.metrics.counted import Counts
from backend.metrics.snapshots import Publisher, read

COUNT = """
import sys, time
from pathlib import Path
from backend.metrics.instruments import count_batch
from backend.metrics.snapshots import Publisher
for _ in range(int(sys.argv[2])):
    count_batch(images=2, seconds=0.01)
publisher = Publisher(Path(sys.argv[1]), role="worker")
publisher.start()
if sys.argv[3] == "end":
    count_batch(images=2, seconds=0.01)
    publisher.stop()
else:
    print("counted", flush=True)
    time.sleep(60)
"""


def start(folder: Path, batches: int, then: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", COUNT, str(folder), str(batches), then]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


@contextmanager
def counting(folder: Path, batches: int) -> Iterator[subprocess.Popen[str]]:
    """A process that has counted, and lives."""
    with start(folder, batches, "live") as process:
        try:
            assert process.stdout
            assert process.stdout.readline() == "counted\n"
            yield process
        finally:
            process.kill()


def images(counts: Counts) -> float:
    key = ("lookalike_embed_batch_images", "lookalike_embed_batch_images_sum", ())
    return counts.get(key, 0)


def test_processes_that_live_and_processes_that_have_ended_are_added_up(tmp_path: Path) -> None:
    assert images(read(tmp_path / "none yet").counts) == 0
    with counting(tmp_path, 3) as first, counting(tmp_path, 4):
        found = read(tmp_path)
        assert images(found.counts) == 14
        assert found.living == {"worker": 2}
        first.send_signal(signal.SIGKILL)
        first.wait()
        for _ in range(3):
            found = read(tmp_path)
            assert images(found.counts) == 14, "nothing is lost, nothing counted twice"
            assert found.living == {"worker": 1}
    start(tmp_path, 1, "end").communicate()
    found = read(tmp_path)
    assert images(found.counts) == 18, "an orderly end leaves the last counts too"
    assert not found.living


def test_however_many_processes_have_ended_a_few_files_stay(tmp_path: Path) -> None:
    for _ in range(2):
        start(tmp_path, 1, "end").communicate()
    assert images(read(tmp_path).counts) == 8
    assert {path.name for path in tmp_path.iterdir()} <= {"ended.json", "reading.lock"}


def test_a_reader_that_is_killed_while_it_adds_up_counts_nothing_twice(tmp_path: Path) -> None:
    start(tmp_path, 2, "end").communicate()
    (left,) = (path for path in tmp_path.glob("*.json") if path.name != "ended.json")
    content = left.read_bytes()
    assert images(read(tmp_path).counts) == 6
    left.write_bytes(content)  # as if it had died before it removed the file
    assert images(read(tmp_path).counts) == 6
    assert images(read(tmp_path).counts) == 6
    assert not left.exists()


def test_counts_of_another_release_are_left_out(tmp_path: Path) -> None:
    start(tmp_path, 2, "end").communicate()
    (left,) = (path for path in tmp_path.glob("*.json") if path.name != "ended.json")
    document = json.loads(left.read_bytes())
    left.write_text(json.dumps(document | {"layout": "other"}))
    assert images(read(tmp_path).counts) == 0


def test_a_file_that_was_cut_off_costs_only_its_own_counts(tmp_path: Path) -> None:
    start(tmp_path, 2, "end").communicate()
    read(tmp_path)
    start(tmp_path, 1, "end").communicate()
    (left,) = (path for path in tmp_path.glob("*.json") if path.name != "ended.json")
    left.write_bytes(left.read_bytes()[:20])
    assert images(read(tmp_path).counts) == 6


def test_a_disk_that_refuses_is_logged_once_and_stops_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshots, "WRITE_SECONDS", 0.01)
    (tmp_path / "file").write_text("")
    publisher = Publisher(tmp_path / "file" / "metrics", role="worker")
    with structlog.testing.capture_logs() as logged:
        publisher.start()
        wait_for(lambda: logged)
        publisher.stop()
    assert len(logged) == 1
    assert not read(tmp_path / "file" / "metrics").counts


def test_what_this_process_counts_is_written_for_others(tmp_path: Path) -> None:
    publisher = Publisher(tmp_path, role="api")
    publisher.start()
    publisher.stop()
    (left,) = (path for path in tmp_path.glob("*.json") if path.name != "ended.json")
    document = json.loads(left.read_bytes())
    assert document["role"] == "api"
    assert counted.from_json(document["counts"]) == counted.own()
