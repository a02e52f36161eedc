"""A distributed installation of a test's own: real Redis, PostgreSQL, Celery workers and API."""

from __future__ import annotations

import io
import os
import random
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import requests
from PIL import Image
from sqlalchemy import make_url

from backend import generations, jobs, queue
from backend.catalogue import products
from backend.catalogue.import_run import import_catalogue
from backend.catalogue.products import Draft, ImageRef
from backend.database import migrate
from backend.database.engine import Database
from backend.database.models import Generation
from backend.queue.progress import Progress
from backend.settings import Settings, read_settings
from backend.worker.loop import Worker
from support.env_example import name_of
from support.servers import RedisServer, redis_server, run_sql, wait_for
from workers import services as distributed

COMMAND = Path(sys.executable).with_name("lookalike")
COLUMNS = "id,gender,masterCategory,subCategory,articleType,baseColour,season,year,usage"

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


@contextmanager
def empty_database(server_url: str) -> Iterator[str]:
    """A migrated PostgreSQL database that is gone afterwards."""
    name = f"fleet_{uuid.uuid4().hex}"
    run_sql(server_url, f"CREATE DATABASE {name}")
    url = make_url(server_url).set(database=name).render_as_string(hide_password=False)
    db = Database(url)
    migrate.migrate(db)
    db.close()
    try:
        yield url
    finally:
        run_sql(server_url, f"DROP DATABASE {name} WITH (FORCE)")


class Fleet:
    """One installation's processes, and this test's own access to its catalogue."""

    def __init__(self, folder: Path, database_url: str, server: RedisServer, **knobs: Any) -> None:
        self.folder = folder
        self.redis = server
        self._knobs = {
            **QUICK,
            "data_dir": folder / "data",
            "image_store": f"file://{folder}/images",
        } | knobs
        self.settings: Settings = read_settings(
            _env_file=None, database_url=database_url, broker_url=server.url, **self._knobs
        )
        self.services = distributed.build(self.settings)
        self.db = self.services.db
        self.tells = True  # whether the processes' logs are printed at the end
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        folder.mkdir(parents=True, exist_ok=True)

    # --- processes -------------------------------------------------------------------------

    def run(
        self, *arguments: str, name: str | None = None, **knobs: Any
    ) -> subprocess.Popen[bytes]:
        """Start a `lookalike` command; its output goes into a file named after it."""
        name = name or f"{arguments[0]}-{len(self._processes)}"
        with (self.folder / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                [COMMAND, *arguments],
                env=self.environment(**knobs),
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        self._processes[name] = process
        return process

    def worker(self, name: str, queue: str = "index", **knobs: Any) -> subprocess.Popen[bytes]:
        return self.run("worker", "--queue", queue, "--name", name, name=name, **knobs)

    def api(self) -> str:
        """Start the API and return its address once it is ready."""
        self.run("serve", "--port", "0", name="api")

        def address() -> str | None:
            url = self.services.owner.url  # at first perhaps that of a killed predecessor
            return url if url and _is_ready(url) else None

        found: str = wait_for(address, seconds=60)
        return found

    def log_of(self, name: str) -> str:
        path = self.folder / f"{name}.log"
        return path.read_text() if path.exists() else ""

    def ready(self, *names: str, seconds: float = 30) -> None:
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

    def end(self, name: str, number: int) -> None:
        """Signal a process of ours and wait for its end."""
        process = self._processes.pop(name)
        process.send_signal(number)
        process.wait(30)

    def stop(self) -> None:
        for process in self._processes.values():
            process.send_signal(signal.SIGTERM)
        for name, process in self._processes.items():
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            if self.tells:
                sys.stdout.write(f"--- {name} ---\n{self.log_of(name)}")  # shown if a test failed
        self.services.close()

    def environment(self, **knobs: Any) -> dict[str, str]:
        ours = {name_of(key): str(value) for key, value in (self._knobs | knobs).items()}
        kept = {key: os.environ[key] for key in ("PATH", "HOME", "LANG") if key in os.environ}
        return (
            kept
            | ours
            | {
                "DATABASE_URL": str(self.settings.database_url),
                "BROKER_URL": str(self.settings.broker_url),
                "OMP_NUM_THREADS": "1",
            }
        )

    # --- the catalogue ---------------------------------------------------------------------

    def import_products(self, count: int, *, first: int = 0) -> None:
        """Import drawn products with the skus `first` … `first + count - 1`."""
        folder = draw_catalogue(self.folder / f"shop-{first}", count, first=first)
        import_catalogue(self.db, self.services.image_store, folder, chunk=200)
        self.services.notify()

    def put(self, sku: str, picture: bytes, *, notify: bool = True) -> None:
        """Save one product with its image, as the API does."""
        digest = self.services.image_store.put(picture)
        image = ImageRef(uri=f"store://{digest}", digest=digest, bytes=len(picture), mtime_ns=None)
        draft = Draft(sku=sku, values={}, image=image)
        self.db.write(
            lambda session: products.save(session, [draft], priority=queue.SINGLE, complete=False)
        )
        if notify:
            self.services.notify()

    def remove(self, *skus: str) -> None:
        self.db.write(lambda session: products.remove(session, skus, priority=queue.SINGLE))
        self.services.notify()

    def progress(self) -> Progress:
        return Worker(self.services).progress()

    def wait_until_indexed(self, count: int, *, seconds: float = 25) -> None:
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

    def generation(self) -> Generation:
        with self.db.read() as session:
            return generations.active(session)


def _is_ready(url: str) -> bool:
    with suppress(requests.ConnectionError):
        return requests.get(f"{url}/readyz", timeout=5).status_code == 200
    return False


def picture(seed: int) -> bytes:
    """A small JPEG unlike any other seed's."""
    chance = random.Random(seed)
    image = Image.frombytes("RGB", (4, 6), chance.randbytes(72)).resize((48, 64))
    out = io.BytesIO()
    image.save(out, "JPEG")
    return out.getvalue()


def big_picture(seed: int) -> bytes:
    """A small file that takes a good part of a second to decode."""
    out = io.BytesIO()
    Image.new("RGB", (3500, 3500), (seed % 256, seed // 256 % 256, 40)).save(out, "PNG")
    return out.getvalue()


def draw_catalogue(folder: Path, count: int, *, first: int = 0) -> Path:
    """Write a styles.csv and its images."""
    (folder / "images").mkdir(parents=True)
    rows = [f"{COLUMNS},productDisplayName"]
    for number in range(first, first + count):
        (folder / "images" / f"{number}.jpg").write_bytes(picture(number))
        rows.append(f"{number},Women,Apparel,Topwear,Tops,Red,Fall,2012,Casual,Top {number}")
    (folder / "styles.csv").write_text("\n".join(rows) + "\n")
    return folder


@contextmanager
def fleet(folder: Path, postgres_url: str, **knobs: Any) -> Iterator[Fleet]:
    """An installation without any process of ours yet."""
    with empty_database(postgres_url) as url, redis_server(folder / "redis") as server:
        found = Fleet(folder, url, server, **knobs)
        try:
            yield found
        finally:
            found.stop()
