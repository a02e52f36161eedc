"""The server as a process: it starts, finds, stops, dies, and starts again."""

from __future__ import annotations

import signal
import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
import requests
from support.installation import PATIENCE_SECONDS, Installation, embedded, is_ready, put_product
from support.servers import free_port, wait_for

from backend.vectors.edge.owner import Owner


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Installation]:
    with embedded(tmp_path, embedder="mean-colour") as found:
        yield found


@pytest.fixture
def url(shop: Installation) -> str:
    """The address of a server that is ready."""
    return shop.api()


def get(url: str, path: str) -> Any:
    return requests.get(url + path, timeout=PATIENCE_SECONDS).json()


def wait_for_similar(url: str, sku: str) -> list[str]:
    """Ask until there are similar items; return their skus."""

    def items() -> list[Any] | None:
        found: list[Any] | None = get(url, f"/v1/products/{sku}/similar").get("items")
        return found

    return [item["sku"] for item in wait_for(items, seconds=PATIENCE_SECONDS)]


def server_processes(shop: Installation) -> set[psutil.Process]:
    """The processes that the master has forked."""
    return set(shop.process("api").children())


def test_a_product_is_findable_after_its_put_and_its_image(shop: Installation, url: str) -> None:
    assert shop.url == url, "commands find the server by its lock"
    put_product(url, "1", "red", gender="Women")
    put_product(url, "2", "darkred", gender="Men")
    assert wait_for_similar(url, "1") == ["2"]
    assert shop.end("api") == 0
    assert shop.url is None, "the lock is free"
    assert "Traceback" not in shop.log_of("api")


def test_a_killed_master_takes_its_process_along_and_the_next_start_has_port_and_index(
    shop: Installation, url: str
) -> None:
    for number in range(5):
        put_product(url, str(number), f"#{number * 50:02x}8080")
    (child,) = server_processes(shop)
    with requests.Session() as polling:
        assert polling.get(f"{url}/livez", timeout=PATIENCE_SECONDS).ok
        shop.end("api", signal.SIGKILL)
        assert shop.api(int(url.rpartition(":")[2])) == url
        child.wait(PATIENCE_SECONDS)
        assert polling.get(f"{url}/livez", timeout=PATIENCE_SECONDS).ok
    shop.wait_until_indexed(5)
    assert get(url, "/v1/status")["products"] == 5
    assert len(get(url, "/v1/products/0/similar")["items"]) == 4
    assert shop.end("api") == 0


def test_a_killed_worker_process_is_replaced_and_goes_on(shop: Installation, url: str) -> None:
    put_product(url, "1", "red")
    (killed,) = server_processes(shop)
    killed.send_signal(signal.SIGKILL)
    wait_for(lambda: server_processes(shop) - {killed}, seconds=PATIENCE_SECONDS)
    wait_for(lambda: is_ready(url), seconds=PATIENCE_SECONDS)
    put_product(url, "2", "darkred")
    assert wait_for_similar(url, "1") == ["2"]
    assert shop.end("api") == 0


@pytest.mark.slow
def test_a_server_that_is_stopped_while_its_embedder_loads_does_not_wait_for_it(
    shop: Installation,
) -> None:
    port = free_port()
    shop.start("serve", "--port", str(port), name="api", embedder="lookalike-fashion")

    def lives() -> bool:
        with suppress(requests.ConnectionError):
            return requests.get(f"http://127.0.0.1:{port}/livez", timeout=PATIENCE_SECONDS).ok
        return False

    wait_for(lives, seconds=PATIENCE_SECONDS)
    assert shop.end("api") == 0
    said = shop.log_of("api")
    assert '"loading":true' in said, "it ended before the embedder was there"
    assert "Traceback" not in said


def test_a_reload_hands_the_index_over(shop: Installation, url: str) -> None:
    before = server_processes(shop)
    shop.process("api").send_signal(signal.SIGHUP)
    wait_for(lambda: not server_processes(shop) & before, seconds=PATIENCE_SECONDS)
    wait_for(lambda: is_ready(url), seconds=PATIENCE_SECONDS)
    assert shop.end("api") == 0


def test_a_second_server_on_the_same_data_is_told_who_owns_the_index(shop: Installation) -> None:
    owner = Owner(shop.settings.data_dir)
    owner.acquire(url="http://127.0.0.1:1")
    said = shop.run("serve", "--port", "0", status=1)
    assert "another process owns the index" in said
    assert "http://127.0.0.1:1" in said
    assert "Traceback" not in said
    owner.release()


@pytest.mark.slow
def test_a_port_that_is_taken_is_named(shop: Installation) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = shop.run("serve", "--port", str(port), status=1)
    assert f"cannot listen on 127.0.0.1:{port}: Address already in use" in said
    assert "Traceback" not in said


def test_a_server_whose_embedder_is_unknown_lives_and_names_it(shop: Installation) -> None:
    port = free_port()
    shop.start("serve", "--port", str(port), name="api", embedder="crystal-ball")
    url = f"http://127.0.0.1:{port}"

    def status_and_checks() -> tuple[int, Any] | None:
        with suppress(requests.ConnectionError):
            answer = requests.get(f"{url}/readyz", timeout=PATIENCE_SECONDS)
            if "crystal-ball" in answer.text:
                return answer.status_code, answer.json()["checks"]
        return None

    status, checks = wait_for(status_and_checks, seconds=PATIENCE_SECONDS)
    assert status == 503
    assert checks["worker"].startswith("unknown-embedder")
    assert requests.get(f"{url}/livez", timeout=PATIENCE_SECONDS).ok
    assert get(url, "/v1/status")["products"] == 0
    assert shop.end("api") == 0
