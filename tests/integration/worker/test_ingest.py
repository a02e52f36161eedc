"""Images are embedded while SQL and index are written, and those cost little beside the network."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Sequence
from threading import Barrier, Event, Thread
from typing import Any

import numpy as np
import pytest
from PIL import Image
from support.image_files import random_image
from support.shop import FakeEmbedder, Shop

from backend.embedders import Compute, load
from backend.queue import IMPORT
from backend.settings import Settings

PATIENCE = 30.0


class WaitingEmbedder(FakeEmbedder):
    """Embeds its third batch only when something has happened. Two batches may overlap."""

    def __init__(self, happened: Event) -> None:
        super().__init__()
        self._happened = happened
        self._begun = itertools.count(1)
        self.waited_in_vain = False

    def embed(self, images: Sequence[Image.Image]) -> Any:
        if next(self._begun) == 3:
            self.waited_in_vain = not self._happened.wait(PATIENCE)
        return super().embed(images)


def test_products_are_searchable_while_further_ones_of_their_claim_are_embedded(
    settings: Settings,
) -> None:
    searchable = Event()
    embedder = WaitingEmbedder(searchable)
    with Shop(settings, fake_embedder=embedder, embedder="mean-colour?grid=2") as shop:
        for number in range(3 * embedder.batch_size):
            shop.save(f"p{number}", random_image(number), priority=IMPORT)
        watching = Thread(target=_watch, args=(shop.index.count, searchable))
        watching.start()
        shop.worker.rounds.run_one()
        watching.join()

        assert not embedder.waited_in_vain
        assert shop.index.count() == 12


class MeetingEmbedder(FakeEmbedder):
    """Ends each of its first two passes only when the other one has begun."""

    def __init__(self) -> None:
        super().__init__()
        self._meeting = Barrier(2, timeout=PATIENCE)

    def embed(self, images: Sequence[Image.Image]) -> Any:
        vectors = super().embed(images)
        if not self._meeting.broken and len(self.batches) <= 2:
            self._meeting.wait()
        return vectors


def test_on_a_cpu_two_forward_passes_overlap(settings: Settings) -> None:
    embedder = MeetingEmbedder()
    with Shop(settings, fake_embedder=embedder, embedder="mean-colour?grid=2") as shop:
        for number in range(2 * embedder.batch_size):
            shop.save(f"p{number}", random_image(number), priority=IMPORT)
        shop.work()

        assert shop.index.count() == 8
        assert sum(embedder.batches) == 8  # none was embedded again, after a broken meeting


def _watch(points: Callable[[], int], happened: Event) -> None:
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        if points():
            happened.set()
            return
        time.sleep(0.01)


@pytest.mark.slow
def test_most_of_the_processors_time_of_an_import_is_the_networks(settings: Settings) -> None:
    """The process' own time; a ratio, with room for a busy machine. See benchmarks/ingest.py."""
    spec, count = "efficientnet-lite0", 256
    pure = load(spec, compute=Compute(device="cpu", threads=1, precision=settings.precision))
    height, width = pure.input_size
    noise = np.random.default_rng(0).integers(0, 256, (32, height, width, 3), dtype=np.uint8)
    batch = [Image.fromarray(one) for one in noise]
    pure.embed(batch)
    with Shop(settings, embedder=spec, torch_threads=1) as shop:
        shop.services.embedders.named(spec).embed(batch)
        for number in range(count):
            shop.save(f"p{number}", random_image(number), priority=IMPORT)
        before = _used(lambda: [pure.embed(batch) for _ in range(4)]) / (4 * 32)
        whole = _used(shop.work) / count
        after = _used(lambda: [pure.embed(batch) for _ in range(4)]) / (4 * 32)

        assert shop.index.count() == count
    assert (before + after) / 2 / whole >= 0.4


def _used(work: Callable[[], object]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began
