"""Several API processes over one embedded index, which another process owns: they agree."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event
from typing import Any

import psutil
import pytest
import requests
from support.image_files import colour_image
from support.installation import PATIENCE_SECONDS, Installation, distributed, embedded, put_product
from support.qdrant_wire import LOCAL_MODE_WARNINGS, Wire
from support.servers import free_port, wait_for

from backend.metrics.snapshots import WRITE_SECONDS
from backend.settings import Settings

pytestmark = LOCAL_MODE_WARNINGS

TIMES = 20
"""Requests over connections of their own: both processes are among those that answer."""


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Installation]:
    changes = {"embedder": "mean-colour", "poll_seconds": 0.2, "lease_seconds": 3}
    with embedded(tmp_path, api_processes=2, **changes) as found:
        yield found


@pytest.fixture
def url(shop: Installation) -> str:
    """The address of a server that is ready."""
    return shop.api()


def get(url: str, path: str) -> Any:
    """Ask over a connection of its own."""
    answer = requests.get(url + path, timeout=PATIENCE_SECONDS)
    assert answer.status_code == 200, answer.text
    return answer.json()


def similar(url: str, sku: str) -> list[str]:
    return [item["sku"] for item in get(url, f"/v1/products/{sku}/similar")["items"]]


def is_listening(process: psutil.Process) -> bool:
    return any(one.status == psutil.CONN_LISTEN for one in process.net_connections("tcp"))


def processes(shop: Installation) -> tuple[psutil.Process, set[psutil.Process]]:
    """The owner, which alone does not listen on the port, and the two that answer."""

    def find() -> tuple[psutil.Process, set[psutil.Process]] | None:
        children = shop.process("api").children()
        listens = {one for one in children if is_listening(one)}
        (*owners,) = set(children) - listens
        return (owners[0], listens) if len(owners) == 1 and len(listens) == 2 else None

    found: tuple[psutil.Process, set[psutil.Process]] = wait_for(find, seconds=PATIENCE_SECONDS)
    return found


def put_four(shop: Installation, url: str) -> None:
    for sku, colour in enumerate(("red", "darkred", "firebrick", "blue")):
        put_product(url, str(sku), colour, in_stock=True)
    shop.wait_until_indexed(4)


@pytest.mark.slow
def test_all_processes_answer_from_one_index_and_show_stock_as_it_is(
    shop: Installation, url: str
) -> None:
    put_four(shop, url)
    assert {tuple(similar(url, "0")) for _ in range(TIMES)} == {("1", "2", "3")}
    product = f"{url}/v1/products/1"
    changed = requests.patch(product, json={"in_stock": False}, timeout=PATIENCE_SECONDS)
    assert changed.status_code == 200, changed.text
    answers = [get(url, "/v1/products/0/similar?in_stock=true") for _ in range(TIMES)]
    assert {tuple(it["sku"] for it in one["items"]) for one in answers} == {("2", "3")}
    asked = requests.post(
        f"{url}/v1/similar", files={"image": colour_image("red")}, timeout=PATIENCE_SECONDS
    )
    assert asked.json()["items"][0]["sku"] == "0", asked.text
    assert len(shop.json("similar", "0")["items"]) == 3, "a command is answered by them too"
    checks = get(url, "/readyz")["checks"]
    assert checks == {"database": "ok", "index": "ok", "worker": "ok", "start": "ok"}
    time.sleep(2 * WRITE_SECONDS)
    shown = requests.get(f"{url}/metrics", timeout=PATIENCE_SECONDS).text
    assert 'lookalike_processes{role="api"} 2.0' in shown
    assert 'lookalike_processes{role="owner"} 1.0' in shown
    assert shop.end("api") == 0
    assert shop.url is None, "the lock is free"
    assert "Traceback" not in shop.log_of("api")


@pytest.mark.slow
def test_no_killed_process_loses_anything_and_each_is_replaced(
    shop: Installation, url: str
) -> None:
    put_four(shop, url)
    owner, answering = processes(shop)
    owner.send_signal(signal.SIGKILL)
    assert similar(url, "0") == ["1", "2", "3"], "a query waits for the next owner"
    put_product(url, "4", "maroon")
    next_owner, same = processes(shop)
    assert (next_owner != owner, same) == (True, answering)
    victim = min(answering, key=lambda one: one.pid)
    victim.send_signal(signal.SIGKILL)
    put_product(url, "5", "darkblue")
    shop.wait_until_indexed(6)
    assert victim not in processes(shop)[1]
    assert {len(similar(url, "0")) for _ in range(TIMES)} == {5}
    assert shop.end("api") == 0


def test_a_reload_replaces_those_that_answer_and_keeps_the_owner(
    shop: Installation, url: str
) -> None:
    owner, answering = processes(shop)
    shop.process("api").send_signal(signal.SIGHUP)
    wait_for(lambda: not answering & set(shop.process("api").children()), seconds=PATIENCE_SECONDS)
    now, others = processes(shop)
    assert now == owner
    assert not others & answering
    put_product(url, "1", "red")
    shop.wait_until_indexed(1)
    assert shop.end("api") == 0


@pytest.mark.slow
def test_a_promotion_is_seen_by_all_at_once_and_no_query_fails_meanwhile(
    shop: Installation, url: str
) -> None:
    put_four(shop, url)
    before, over = get(url, "/v1/products/0/similar")["generation"], Event()

    def ask() -> int:
        count = 0
        while not over.is_set():
            assert len(similar(url, "0")) == 3
            count += 1
        return count

    with ThreadPoolExecutor(2) as threads:
        askers = [threads.submit(ask) for _ in range(2)]
        try:
            shop.run("reindex", "--embedder", "mean-colour?grid=2", "--force")
        finally:
            over.set()
        assert all(asker.result() > 0 for asker in askers)
    answers = [get(url, "/v1/products/0/similar")["generation"] for _ in range(TIMES)]
    assert set(answers) == {answers[0]}
    assert answers[0] != before


@pytest.mark.slow
def test_beside_celery_workers_embed_and_the_owner_applies(
    tmp_path: Path, postgres_url: str, settings: Settings
) -> None:
    """`settings` empties the shell's."""
    with distributed(tmp_path, postgres_url, api_processes=2, hang_seconds=60) as shop:
        shop.worker("w")
        shop.start("beat")
        shop.wait_until_ready("w")
        url = shop.api(free_port())
        assert len(processes(shop)) == 2
        put_four(shop, url)
        assert {tuple(similar(url, "0")) for _ in range(TIMES)} == {("1", "2", "3")}
        checks = get(url, "/readyz")["checks"]
        assert {checks["broker"], checks["worker"], checks["index"]} == {"ok"}
        assert shop.end("api") == 0


@pytest.mark.slow
def test_beside_a_vector_store_without_celery_one_process_works(
    tmp_path: Path, settings: Settings
) -> None:
    wire = Wire()
    changes = {"qdrant_url": "http://127.0.0.1:1", "qdrant_grpc_port": wire.port}
    with embedded(tmp_path, embedder="mean-colour", api_processes=2, **changes) as shop:
        url = shop.api(free_port())
        assert len(processes(shop)) == 2
        put_four(shop, url)
        assert {tuple(similar(url, "0")) for _ in range(TIMES)} == {("1", "2", "3")}
        assert get(url, "/readyz")["checks"]["worker"] == "ok"
        assert shop.end("api") == 0
    wire.stop()
