"""Several API processes behind one address, beside PostgreSQL, Redis and a vector store's wire."""

from __future__ import annotations

import json
import re
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
import requests
from support.installation import PATIENCE_SECONDS, Installation, distributed
from support.qdrant_wire import LOCAL_MODE_WARNINGS, Wire
from support.servers import free_port, wait_for

from backend.metrics.snapshots import WRITE_SECONDS
from backend.settings import Settings

HEAVY = ("cygrpc", "_psycopg", "libpq", "libtorch")
"""Native parts of the clients and of torch, as they show in a process' memory map."""

pytestmark = LOCAL_MODE_WARNINGS


@pytest.fixture
def wire() -> Iterator[Wire]:
    made = Wire()
    yield made
    made.stop()


@pytest.fixture
def shop(
    tmp_path: Path, postgres_url: str, settings: Settings, wire: Wire
) -> Iterator[Installation]:
    """Celery writes to the wire, and `serve` has two processes. `settings` empties the shell's."""
    changes = {"qdrant_url": "http://127.0.0.1:1", "qdrant_grpc_port": wire.port}
    changes |= {"hang_seconds": 60}  # a busy machine imports the client of Qdrant for seconds
    with distributed(tmp_path / "installation", postgres_url, api_processes=2, **changes) as found:
        yield found


def serve(shop: Installation, **changes: int) -> str:
    """Index four products, start the API and return its address once it is ready."""
    shop.worker("w")
    shop.start("beat")
    shop.wait_until_ready("w")
    shop.import_products(4)
    shop.wait_until_indexed(4)
    return shop.api(free_port(), **changes)


def ask(url: str) -> None:
    """Ask for similar items, over a connection of its own."""
    answer = requests.get(f"{url}/v1/products/0/similar", timeout=PATIENCE_SECONDS)
    assert answer.status_code == 200, answer.text
    assert len(answer.json()["items"]) == 3


def who_searches(master: psutil.Process, wire: Wire) -> set[int]:
    """The API processes that have a connection of their own to the vector store."""
    found = set()
    for process in master.children():
        with suppress(psutil.NoSuchProcess):
            peers = [peer.raddr.port for peer in process.net_connections("tcp") if peer.raddr]
            if wire.port in peers:
                found.add(process.pid)
    return found


def ask_until_two_answer(url: str, master: psutil.Process, wire: Wire) -> set[int]:
    """Ask several at once: one alone is answered by whoever is quicker, perhaps always the same."""

    def both() -> set[int] | None:
        with ThreadPoolExecutor(8) as askers:
            list(askers.map(ask, [url] * 8))
        found = who_searches(master, wire)
        return found if len(found) == 2 else None

    found: set[int] = wait_for(both, seconds=PATIENCE_SECONDS, every=0.01)
    return found


@pytest.mark.slow
def test_two_processes_answer_and_inherit_nothing_and_a_killed_one_is_replaced(
    shop: Installation, wire: Wire
) -> None:
    url = serve(shop)
    master = shop.process("api")
    first = ask_until_two_answer(url, master, wire)
    assert_is_light(master)
    assert_counts_of_all_processes_are_shown(url)
    victim = psutil.Process(min(first))
    victim.send_signal(signal.SIGKILL)
    victim.wait(PATIENCE_SECONDS)
    second = ask_until_two_answer(url, master, wire)
    assert first & second == {max(first)}
    assert_is_light(master)
    for name in ("w", "beat", "api"):
        shop.end(name)
        assert [line for line in shop.log_of(name).splitlines() if not is_json(line)] == []


@pytest.mark.slow
def test_processes_are_replaced_after_their_requests_and_no_answer_is_lost(
    shop: Installation, wire: Wire
) -> None:
    url = serve(shop, max_requests=20)
    master = shop.process("api")
    seen: set[int] = set()

    def six_processes() -> bool:
        ask(url)
        seen.update(who_searches(master, wire))
        return len(seen) >= 6

    wait_for(six_processes, seconds=2 * PATIENCE_SECONDS, every=0)
    assert_is_light(master)


def assert_counts_of_all_processes_are_shown(url: str) -> None:
    """Whichever API process answers, it shows its own counts, the other one's and the worker's."""
    route = 'http_route="/v1/products/<sku>/similar"'
    wanted = [
        r'lookalike_processes\{role="api"\} 2\.0',
        r'lookalike_processes\{role="worker"\} 1\.0',
        r"lookalike_embed_batch_images_sum 4\.0",
        r'lookalike_freshness_seconds_count\{priority="import"\} 4\.0',
    ]
    with ThreadPoolExecutor(8) as askers:
        list(askers.map(ask, [url] * 8))
    counts = set()
    for _ in range(10):
        time.sleep(WRITE_SECONDS / 2)
        shown = requests.get(f"{url}/metrics", timeout=PATIENCE_SECONDS).text
        (count,) = re.findall(rf"_count\{{.*{route}\}} (\S+)", shown)
        counts.add(float(count))
        assert [line for line in wanted if not re.search(line, shown)] == []
    assert len(counts) <= 2, "only the counts of the last second may be missing"


def is_json(line: str) -> bool:
    with suppress(ValueError):
        return isinstance(json.loads(line), dict)
    return False


def assert_is_light(master: psutil.Process) -> None:
    """Show that a fork inherits no thread, no connection and no client's native code."""
    assert master.num_threads() == 1
    assert [one.status for one in master.net_connections("inet")] == [psutil.CONN_LISTEN]
    assert not [one for one in master.net_connections("unix") if "PGSQL" in one.raddr]
    mapped = [part.path for part in master.memory_maps()]
    assert not [path for path in mapped if any(part in path for part in HEAVY)]
