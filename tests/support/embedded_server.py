"""The embedded server's worker on a data folder, with all that it works on."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from backend import bootstrap, generations, jobs
from backend.bootstrap import Services
from backend.catalogue import products
from backend.catalogue.products import Draft, ImageRef
from backend.jobs import DONE
from backend.queue import SINGLE
from backend.settings import Settings
from backend.vectors import VectorIndex
from backend.worker.loop import Worker
from support.stages import picture

COLOURS = ("red", "green", "blue", "white")


class Plant:
    """The embedded server's worker on a data folder; stopped and started again like a process."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.services: Services
        self.worker: Worker
        self.start()

    def start(self) -> None:
        self.services = bootstrap.build(self.settings)
        self.services.owner.acquire()
        self.worker = Worker(self.services)
        self.worker.recover()

    def stop(self) -> None:
        self.services.close()

    @property
    def index(self) -> VectorIndex:
        with self.services.db.read() as session:
            return self.services.indexes.of(generations.active(session))

    def save(self, sku: str, data: bytes | None = None, **values: Any) -> int:
        """Save a product, and its image in the store if there is one."""
        image = None
        if data is not None:
            digest = self.services.image_store.put(data)
            uri = self.services.image_store.uri(digest)
            image = ImageRef(uri=uri, digest=digest, bytes=len(data), mtime_ns=0)
        draft = Draft(sku=sku, values=values, image=image)
        saved = self.services.db.write(
            lambda session: products.save(session, [draft], priority=SINGLE, complete=False)
        )
        return saved.ids[sku]

    def run(self, verb: str, **arguments: Any) -> Mapping[str, Any]:
        """Ask for a job, run it, and return its result."""
        job_id = jobs.write(self.services.db, verb, arguments)
        assert self.worker.handlers.run_next()
        job = jobs.read(self.services.db, job_id)
        assert job
        assert job.state == DONE, job.error
        return job.result or {}

    def prices(self) -> dict[int, float | None]:
        """What the index shows."""
        query = np.ones(self.index.size, dtype=np.float32)
        return {hit.id: hit.payload.get("price") for hit in self.index.nearest(query, limit=100)}

    def execute(self, statement: Any) -> None:
        self.services.db.write(lambda session: session.execute(statement))


def fill(plant: Plant) -> None:
    """Index four products, and take their images away."""
    for colour in COLOURS:
        plant.save(colour, picture(colour), price=1.0)
    plant.run("index")
    shutil.rmtree(plant.settings.data_dir / "images")


def eventually(true: Callable[[], Any]) -> None:
    """Wait until something is true."""
    for _ in range(1000):
        if true():
            return
        time.sleep(0.01)
    raise AssertionError("it never came true")
