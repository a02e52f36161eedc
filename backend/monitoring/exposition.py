"""All that one address shows Prometheus."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Final, TypeAlias

import structlog
from prometheus_client import CollectorRegistry, Metric
from prometheus_client.core import GaugeMetricFamily, InfoMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

import backend
from backend.database.engine import Database
from backend.metrics import counted, snapshots
from backend.metrics.snapshots import DISK_ERRORS, Published
from backend.monitoring import catalogue, disks
from backend.monitoring.parts import Part, Read
from backend.settings import Settings

log = structlog.get_logger(__name__)

Problems: TypeAlias = Mapping[str, str | None]

API: Final = "api"
"""The role of the processes that answer requests."""


WAIT_SECONDS: Final = 3.0
"""How long a scrape waits for all its parts together. Prometheus itself waits for ten seconds."""


class Exposition(Collector):
    """The counts of the processes that share a folder, and further parts.

    `role` is what this process does, where it is one of those that count.
    """

    def __init__(
        self,
        folder: Path,
        parts: Sequence[Part] = (),
        *,
        role: str | None = None,
        wait_seconds: float = WAIT_SECONDS,
    ) -> None:
        self._folder = folder
        self._parts = parts
        self._role = role
        self._wait_seconds = wait_seconds
        self._registry = CollectorRegistry()
        self._registry.register(self)

    def encode(self, accept: str) -> tuple[bytes, str]:
        """Return the text for a scraper that accepts this, and its media type. Never raises."""
        encoder, media_type = choose_encoder(accept)
        return encoder(self._registry), media_type

    def collect(self) -> Iterator[Metric]:
        """Yield all families; what cannot be read now is left out, and named."""
        yield InfoMetricFamily("lookalike_build", "This release.", {"version": backend.__version__})
        others, are_known = self._read_others()
        living = others.living + Counter([self._role] if self._role else [])
        yield from counted.as_families(counted.add_up([counted.own(), others.counts]))
        processes = GaugeMetricFamily(
            "lookalike_processes",
            "Processes that live and whose counts are included, by what they do.",
            labels=("role",),
        )
        for role, count in sorted(living.items()):
            processes.add_metric((role,), count)
        yield processes
        yield from self._read_parts(others_are_known=are_known)

    def describe(self) -> Iterable[Metric]:
        """Return nothing: the registry would collect at once otherwise."""
        return ()

    def _read_others(self) -> tuple[Published, bool]:
        """Return what other processes have counted, and whether it could be read."""
        try:
            return snapshots.read(self._folder), True
        except DISK_ERRORS as error:
            log.warning("cannot read what other processes have counted", error=str(error))
            return Published({}, Counter()), False

    def _read_parts(self, *, others_are_known: bool) -> Iterator[Metric]:
        success = GaugeMetricFamily(
            "lookalike_scrape_part_success",
            "1 if this part of the answer could be read, else 0.",
            labels=("part",),
        )
        success.add_metric(("processes",), others_are_known)
        until = time.monotonic() + self._wait_seconds
        for part in self._parts:
            part.start()
        for part in self._parts:
            families = part.families(wait_seconds=max(0.0, until - time.monotonic()))
            success.add_metric((part.name,), families is not None)
            yield from families or ()
        yield success


def of_processes(folder: Path) -> Exposition:
    """Return what the processes that share a folder have counted."""
    return Exposition(folder)


def of_installation(
    settings: Settings, db: Database, *, stores: Callable[[], Problems] = dict
) -> Exposition:
    """Return what the processes of this host have counted, and what SQL and the disks say.

    `stores` returns {store: why this process does not ask it now}, None where it does.
    """
    read: dict[str, Read] = {
        "queue": partial(catalogue.read_queue, db),
        "products": partial(catalogue.read_products, db),
        "generations": partial(catalogue.read_generations, db),
        "recall": partial(catalogue.read_recall, db),
        "recommendations": partial(catalogue.read_recommendations, db),
        "disks": partial(disks.read_disks, settings),
        "sizes": partial(disks.read_sizes, settings, db),
        "stores": lambda: _read_stores(stores()),
    }
    parts = [Part(name, part) for name, part in read.items()]
    return Exposition(settings.metrics_dir, parts, role=API)


def _read_stores(problems: Problems) -> Sequence[Metric]:
    available = GaugeMetricFamily(
        "lookalike_store_available",
        "0 while the API process that answers this leaves a store alone, since it is silent.",
        labels=("store",),
    )
    for store, problem in problems.items():
        available.add_metric((store,), problem is None)
    return [available]
