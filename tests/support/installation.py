"""A shop of several processes, of a test's own: `lookalike serve`, workers, scheduler, commands."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import requests

from backend import jobs
from backend.catalogue.import_run import import_catalogue
from backend.jobs import runners
from backend.queue.progress import Progress
from backend.settings import Settings, read_settings
from support import clock_steps
from support.catalogue import Catalogue, draw_catalogue
from support.env_example import name_of
from support.image_files import colour_image
from support.servers import RedisServer, empty_database, migrated, redis_server, wait_for
from workers import services as distributed_services

COMMAND = Path(sys.executable).with_name("lookalike")
KEPT = ("PATH", "HOME", "LANG", "PYTHONPATH")
PATIENCE_SECONDS = 60  # for a busy machine

QUICK: Mapping[str, Any] = {
    "embedder": "mean-colour",
    "poll_seconds": 0.2,
    "lease_seconds": 3,
    "retry_seconds": 0.2,
    "decode_seconds": 2,
    "hang_seconds": 6,
    "stop_seconds": 10,
    "reconcile_seconds": 1,
    "report_seconds": 1,
}
"""Settings under which what takes a minute in a shop takes seconds here."""


class Installation(Catalogue):
    """An installation's processes, and this test's own access to its catalogue."""

    def __init__(self, folder: Path, *, redis: RedisServer | None = None, **settings: Any) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.prints_logs = True  # at the end, where they are shown if a test failed
        self.clock_ahead: dict[str, float] = {}  # process -> seconds by which its clock is wrong
        self._given = {"data_dir": folder / "data"} | settings
        self._redis = redis
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self.settings: Settings = read_settings(_env_file=None, **self._given)
        super().__init__(distributed_services.build(self.settings))

    @property
    def redis(self) -> RedisServer:
        assert self._redis
        return self._redis

    def close(self) -> None:
        """End all processes."""
        for process in self._processes.values():
            process.send_signal(signal.SIGTERM)
        for name, process in self._processes.items():
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                _kill(process)
            if self.prints_logs:
                sys.stdout.write(f"--- {name} ---\n{self.log_of(name)}")
        self.services.close()

    # --- processes -------------------------------------------------------------------------

    def start(
        self, *arguments: str, name: str | None = None, **settings: Any
    ) -> subprocess.Popen[bytes]:
        """Start a `lookalike` command; its output goes into a file named after it."""
        name = name or arguments[0]
        with (self.folder / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                [COMMAND, *arguments],
                env=self.environment(**settings) | self._clock_of(name),
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        self._processes[name] = process
        return process

    def run(self, *arguments: str, status: int = 0, seconds: float = 2000) -> str:
        """Run a `lookalike` command to its end; return what it prints, or why it failed."""
        found = self._run(*arguments, seconds=seconds)
        assert found.returncode == status, found.stdout + found.stderr
        return found.stdout if status == 0 else found.stderr

    def runs(self, *arguments: str) -> bool:
        """Run a command to its end; tell whether it succeeded."""
        return self._run(*arguments, seconds=2000).returncode == 0

    def _run(self, *arguments: str, seconds: float) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [COMMAND, *arguments],
            env=self.environment(),
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )

    def json(self, *arguments: str) -> Any:
        return json.loads(self.run(*arguments, "--json"))

    def environment(self, **settings: Any) -> dict[str, str]:
        """The settings, and of this process' own variables only what every program needs."""
        kept = {name: os.environ[name] for name in KEPT if name in os.environ}
        ours = {name_of(key): str(value) for key, value in (self._given | settings).items()}
        share = {"OMP_NUM_THREADS": "1"} if self.settings.broker_url else {}  # there are several
        return kept | ours | share

    def _clock_of(self, name: str) -> dict[str, str]:
        if name not in self.clock_ahead:
            return {}
        paths = [*clock_steps.__path__, os.environ.get("PYTHONPATH", "")]
        path = os.pathsep.join(filter(None, paths))
        return {"CLOCK_AHEAD": str(self.clock_ahead[name]), "PYTHONPATH": path}

    def skews(self) -> list[float]:
        """Return by how many seconds the clocks of the working processes are wrong."""
        with self.services.db.read() as session:
            return [each.skew_seconds for each in runners.seen(session)]

    def worker(self, name: str, queue: str = "index", **settings: Any) -> subprocess.Popen[bytes]:
        return self.start("worker", "--queue", queue, "--name", name, name=name, **settings)

    def api(self, port: int = 0, **settings: Any) -> str:
        """Start the API and return its address once it is ready."""
        process = self.start("serve", "--port", str(port), name="api", **settings)

        def address() -> str | None:
            assert process.poll() is None, self.log_of("api")
            url = f"http://127.0.0.1:{port}" if port else self.url  # perhaps a predecessor's
            return url if url and is_ready(url) else None

        found: str = wait_for(address, seconds=PATIENCE_SECONDS)
        return found

    @property
    def url(self) -> str | None:
        """The address of the process that owns the index."""
        return self.services.owner.url

    def kill_api(self) -> None:
        """Kill all its processes at once; none of them is told that it ends."""
        _kill(self._processes.pop("api"))

    def log_of(self, name: str) -> str:
        path = self.folder / f"{name}.log"
        return path.read_text() if path.exists() else ""

    def wait_until_ready(self, *names: str, seconds: float = PATIENCE_SECONDS) -> None:
        """Wait until workers have warmed up."""
        wait_for(
            lambda: all("worker ready" in self.log_of(name) for name in names), seconds=seconds
        )

    def process(self, name: str) -> psutil.Process:
        return psutil.Process(self._processes[name].pid)

    def pid_of_worker(self, name: str) -> int:
        """Return the process id of the worker that a supervisor runs now."""
        supervisor = self.process(name)
        found = wait_for(
            lambda: [
                child.pid for child in supervisor.children() if "workers.process" in child.cmdline()
            ]
        )
        pid: int = found[0]
        return pid

    def end(self, name: str, number: int = signal.SIGTERM) -> int:
        """Signal a process of ours, wait for its end, and return its exit code."""
        process = self._processes.pop(name)
        process.send_signal(number)
        return process.wait(PATIENCE_SECONDS)

    # --- the catalogue ---------------------------------------------------------------------

    def import_products(self, count: int, *, first: int = 0) -> None:
        """Import drawn products with the skus `first` … `first + count - 1`."""
        folder = draw_catalogue(self.folder / f"shop-{first}", count, first=first)
        import_catalogue(self.db, self.services.image_store, folder, chunk=200)
        self.services.notify()

    def put(self, sku: str, image: bytes, *, notify: bool = True) -> None:
        """Save one product with its image, as the API does."""
        self.save(sku, image)
        if notify:
            self.services.notify()

    def delete(self, *skus: str) -> None:
        """Remove products, as the API does."""
        self.remove(*skus)
        self.services.notify()

    def wait_until_indexed(self, count: int, *, seconds: float = PATIENCE_SECONDS) -> None:
        def at_rest() -> Progress | None:
            now = self.progress()
            return now if now.at_rest and now.products == count else None

        found = wait_for(at_rest, seconds=seconds)
        assert (found.indexed, found.quarantined) == (count, 0)

    def verify(self) -> dict[str, Any]:
        """Have whoever may compare the index with SQL, product by product; return what it found."""
        job_id = jobs.write(self.db, "verify")
        job = wait_for(lambda: (job := jobs.read(self.db, job_id)) and job.finished_at and job)
        assert job.result is not None, job.error
        result: dict[str, Any] = job.result
        return result


def put_product(url: str, sku: str, colour: str, **fields: Any) -> None:
    """Put a product and its image of one colour, over HTTP."""
    product = f"{url}/v1/products/{sku}"
    requests.put(product, json=fields, timeout=PATIENCE_SECONDS).raise_for_status()
    image = colour_image(colour)
    requests.put(f"{product}/image", data=image, timeout=PATIENCE_SECONDS).raise_for_status()


def is_ready(url: str) -> bool:
    with suppress(requests.ConnectionError):
        return requests.get(f"{url}/readyz", timeout=PATIENCE_SECONDS).status_code == 200
    return False


def _kill(master: subprocess.Popen[bytes]) -> None:
    with suppress(psutil.NoSuchProcess):
        for child in psutil.Process(master.pid).children(recursive=True):
            child.kill()
    master.kill()
    master.wait()


@contextmanager
def embedded(folder: Path, **settings: Any) -> Iterator[Installation]:
    """An installation without servers, and without any process yet."""
    found = Installation(folder, **settings)
    try:
        yield found
    finally:
        found.close()


@contextmanager
def distributed(folder: Path, postgres_url: str, **settings: Any) -> Iterator[Installation]:
    """An installation with PostgreSQL and Redis of its own, and without any process of ours yet."""
    with empty_database(postgres_url) as url, redis_server(folder / "redis") as redis:
        servers = {"database_url": migrated(url), "broker_url": redis.url}
        store = {"image_store": f"file://{folder}/images"}
        found = Installation(folder, redis=redis, **QUICK | servers | store | settings)
        try:
            yield found
        finally:
            found.close()
