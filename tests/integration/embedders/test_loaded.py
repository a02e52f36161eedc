"""A network that takes long to load blocks nobody who uses another one."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from support.servers import wait_for

from backend import embedders
from backend.database.models import Generation
from backend.embedders import Compute, Embedder
from backend.embedders.loaded import LoadedEmbedders
from backend.embedders.mean_colour import MeanColour

PATIENCE_SECONDS = 60


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Lets `slow` take as long to load as the test wants."""
    usual, may_end = embedders.load, threading.Event()

    def load(spec: str, *, compute: Compute, **given: Any) -> Embedder:
        if spec == "slow":
            assert may_end.wait(PATIENCE_SECONDS)
            return MeanColour(grid=3)
        return usual(spec, compute=compute, **given)

    monkeypatch.setattr(embedders, "load", load)
    yield may_end
    may_end.set()


def compute() -> Compute:
    return Compute(device="cpu", precision="fp32", batch_size=4, threads=1)


def test_an_image_query_is_answered_while_a_second_network_is_loaded(
    slow: threading.Event,
) -> None:
    beats: list[int] = []
    loaded = LoadedEmbedders(compute(), heartbeat=lambda: beats.append(1))
    first = loaded.named("mean-colour")
    active = Generation(embedder="mean-colour", fingerprint=first.fingerprint)
    second: list[Embedder] = []
    thread = threading.Thread(target=lambda: second.append(loaded.named("slow")), daemon=True)
    thread.start()
    wait_for(lambda: beats, seconds=PATIENCE_SECONDS)  # it loads, and signals life
    answers: list[Embedder] = []
    query = threading.Thread(
        target=lambda: answers.extend([loaded.of(active), loaded.named("mean-colour")]), daemon=True
    )
    query.start()
    query.join(5)  # with one lock for all it waits until the test has ended
    assert answers == [first, first]
    assert not second
    slow.set()
    thread.join(PATIENCE_SECONDS)
    assert len(second) == 1


def test_a_network_is_loaded_once_however_many_ask_for_it(
    slow: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    loads, usual = [], embedders.load

    def count(spec: str, *, compute: Compute, **given: Any) -> Embedder:
        loads.append(spec)
        return usual(spec, compute=compute, **given)

    monkeypatch.setattr(embedders, "load", count)
    loaded = LoadedEmbedders(compute())
    found: list[Embedder] = []
    threads = [
        threading.Thread(target=lambda: found.append(loaded.named("slow"))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    wait_for(lambda: loads)
    slow.set()
    for thread in threads:
        thread.join(PATIENCE_SECONDS)
    assert loads == ["slow"]
    assert len({id(one) for one in found}) == 1
