"""The server as a process: it starts, finds, stops, dies, and starts again."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import requests
from support.servers import wait_for
from support.shop import picture

from backend.vectors.edge.owner import Owner

PATIENCE_SECONDS = 60  # for a busy machine; nothing here takes two


class Server:
    """`python -m backend.wsgi` over a data folder of its own."""

    def __init__(self, data_dir: Path, *, port: int, embedder: str = "mean-colour") -> None:
        kept = {"PATH", "HOME", "LANG"}
        self.url = f"http://127.0.0.1:{port}"
        self.log = data_dir.with_suffix(".log")
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "backend.wsgi"],
                env={
                    **{name: value for name, value in os.environ.items() if name in kept},
                    "LOOKALIKE_DATA_DIR": str(data_dir),
                    "LOOKALIKE_EMBEDDER": embedder,
                    "LOOKALIKE_PORT": str(port),
                },
                cwd=data_dir.parent,
                stderr=log,
            )

    def get(self, path: str) -> requests.Response:
        return requests.get(self.url + path, timeout=PATIENCE_SECONDS)

    def put(self, sku: str, colour: str, **fields: Any) -> None:
        url = f"{self.url}/v1/products/{sku}"
        requests.put(url, json=fields, timeout=PATIENCE_SECONDS).raise_for_status()
        requests.put(
            f"{url}/image", data=picture(colour), timeout=PATIENCE_SECONDS
        ).raise_for_status()

    def wait_for(self, path: str, seconds: float = PATIENCE_SECONDS) -> requests.Response:
        """Ask until it answers 200."""
        deadline = time.monotonic() + seconds
        while True:
            with contextlib.suppress(requests.ConnectionError):
                if (answer := self.get(path)).ok:
                    return answer
            assert time.monotonic() < deadline, self.log.read_text()
            assert self.process.poll() is None, self.log.read_text()
            time.sleep(0.1)

    @property
    def worker(self) -> psutil.Process:
        """The process that gunicorn's master has forked."""
        (child,) = psutil.Process(self.process.pid).children()
        return child

    def stop(self) -> int:
        """Ask it to end; return its exit code."""
        self.process.terminate()
        return self.process.wait(PATIENCE_SECONDS)


@pytest.fixture
def port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def server(data_dir: Path, port: int) -> Iterator[Server]:
    server = Server(data_dir, port=port)
    yield server
    with contextlib.suppress(psutil.NoSuchProcess):
        for child in psutil.Process(server.process.pid).children(recursive=True):
            child.kill()
    server.process.kill()
    server.process.wait(PATIENCE_SECONDS)


def test_a_product_is_findable_within_seconds_of_its_put_and_its_image(
    server: Server, data_dir: Path
) -> None:
    server.wait_for("/readyz")
    assert Owner(data_dir).url == server.url, "commands find the server by its lock"
    server.put("1", "red", gender="Women")
    server.put("2", "darkred", gender="Men")
    began = time.monotonic()
    answer = server.wait_for("/v1/products/1/similar", 10).json()
    while not answer["items"] and time.monotonic() - began < 10:
        time.sleep(0.1)
        answer = server.get("/v1/products/1/similar").json()
    assert [item["sku"] for item in answer["items"]] == ["2"]
    assert server.stop() == 0
    assert Owner(data_dir).url is None, "the lock is free"
    assert "Traceback" not in server.log.read_text()


def test_what_was_indexed_is_there_after_a_kill_of_all_processes(
    server: Server, data_dir: Path, port: int
) -> None:
    server.wait_for("/readyz")
    for number in range(5):
        server.put(str(number), f"#{number * 50:02x}8080")
    for child in psutil.Process(server.process.pid).children(recursive=True):
        child.kill()
    server.process.kill()
    server.process.wait(PATIENCE_SECONDS)
    again = Server(data_dir, port=port)
    try:
        again.wait_for("/readyz")
        deadline = time.monotonic() + PATIENCE_SECONDS
        while (status := again.get("/v1/status").json())["pending"]:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        assert (status["indexed"], status["products"]) == (5, 5)
        assert len(again.get("/v1/products/0/similar").json()["items"]) == 4
    finally:
        assert again.stop() == 0


def test_a_killed_worker_process_is_replaced_and_goes_on(server: Server) -> None:
    server.wait_for("/readyz")
    server.put("1", "red")
    killed = server.worker
    killed.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not (found := psutil.Process(server.process.pid).children()) or found == [killed]:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    server.wait_for("/readyz")
    server.put("2", "darkred")
    server.wait_for("/v1/products/1/similar")
    assert server.stop() == 0


def test_a_reload_hands_the_index_over(server: Server) -> None:
    server.wait_for("/readyz")
    before = server.worker.pid
    server.process.send_signal(signal.SIGHUP)
    deadline = time.monotonic() + PATIENCE_SECONDS
    while {child.pid for child in psutil.Process(server.process.pid).children()} & {before}:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    server.wait_for("/readyz")
    assert server.stop() == 0


def run(data_dir: Path, port: int) -> subprocess.CompletedProcess[str]:
    """Start a server that is expected to end by itself."""
    environment = os.environ | {"LOOKALIKE_DATA_DIR": str(data_dir), "LOOKALIKE_PORT": str(port)}
    return subprocess.run(
        [sys.executable, "-m", "backend.wsgi"],
        env=environment,
        cwd=data_dir.parent,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )


def test_a_second_server_on_the_same_data_is_told_who_owns_the_index(
    data_dir: Path, port: int
) -> None:
    owner = Owner(data_dir)
    owner.acquire(url="http://127.0.0.1:1")
    ended = run(data_dir, port)
    assert ended.returncode != 0
    assert "another process owns the index" in ended.stderr
    assert "http://127.0.0.1:1" in ended.stderr
    assert "Traceback" not in ended.stderr
    owner.release()


def test_a_port_that_is_taken_is_named(data_dir: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = run(data_dir, port)
    assert ended.returncode != 0
    assert f"cannot listen on 127.0.0.1:{port}: Address already in use" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_server_whose_embedder_is_unknown_lives_and_names_it(data_dir: Path, port: int) -> None:
    server = Server(data_dir, port=port, embedder="crystal-ball")
    try:
        server.wait_for("/livez")
        wait_for(lambda: "crystal-ball" in server.get("/readyz").text)
        down = server.get("/readyz")
        assert down.status_code == 503
        assert down.json()["checks"]["worker"].startswith("unknown-embedder")
        assert server.get("/v1/status").json()["products"] == 0
    finally:
        assert server.stop() == 0
