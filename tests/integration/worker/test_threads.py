"""The thread beside the API: it starts, fails, says so, and is stopped."""

from __future__ import annotations

import threading

import pytest
from support.servers import wait_for
from support.shop import Shop

from backend.database.models import Generation
from backend.errors import IndexUnavailable, WeightsUnavailable
from backend.search.query_image import LocalQueryEncoder
from backend.vectors import Vector
from backend.worker.loop import Worker
from backend.worker.threads import FirstQueryThread, WorkerThread

PATIENCE_SECONDS = 60  # for a busy machine; nothing here takes two


class StubbornWorker:
    """A worker whose weights arrive late."""

    def __init__(self) -> None:
        self.tries = 0
        self.problem: str | None = None
        self.wake_up = threading.Event()
        self.may_start = threading.Event()
        self.ended = threading.Event()

    def recover(self) -> None:
        self.tries += 1
        if not self.may_start.is_set():
            raise WeightsUnavailable("the weights are not on disk")

    def run(self) -> None:
        self.ended.wait(PATIENCE_SECONDS)

    def stop(self) -> None:
        self.ended.set()


def test_a_worker_that_cannot_start_says_so_and_tries_again() -> None:
    worker = StubbornWorker()
    thread = WorkerThread(worker, retry_seconds=0.01)  # type: ignore[arg-type]
    assert thread.problem() == "is loading the embedder"
    thread.start()
    wait_for(lambda: worker.tries > 2)
    assert thread.problem() == "weights-unavailable: the weights are not on disk"
    worker.may_start.set()
    wait_for(lambda: thread.problem() is None)
    worker.problem = "failed: the index has gone"
    assert thread.problem() == "failed: the index has gone", "a round can fail later, too"
    assert thread.stop(seconds=PATIENCE_SECONDS)


def test_a_round_that_fails_is_told_until_one_succeeds(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = Worker(shop.services)
    thread = WorkerThread(worker)

    def refuse(_: object) -> None:
        raise IndexUnavailable("the shard has gone")

    with monkeypatch.context() as patch:
        patch.setattr(shop.services.indexes, "of", refuse)
        shop.put("1", "red")
        thread.start()
        wait_for(lambda: thread.problem() == "failed: the shard has gone")
    thread.notify()
    wait_for(lambda: thread.problem() is None)
    assert thread.stop(seconds=PATIENCE_SECONDS)


def test_what_follows_the_start_is_called_when_the_worker_begins_and_not_before() -> None:
    worker, begun = StubbornWorker(), threading.Event()
    thread = WorkerThread(worker, retry_seconds=0.01, then=begun.set)  # type: ignore[arg-type]
    thread.start()
    wait_for(lambda: worker.tries > 2)
    assert not begun.is_set()
    worker.may_start.set()
    assert begun.wait(PATIENCE_SECONDS)
    assert thread.stop(seconds=PATIENCE_SECONDS)


def test_an_image_is_embedded_before_the_first_query(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    vectors = []
    encode = LocalQueryEncoder.encode

    def noted(self: LocalQueryEncoder, generation: Generation, data: bytes) -> Vector:
        vectors.append(encode(self, generation, data))
        return vectors[-1]

    monkeypatch.setattr(LocalQueryEncoder, "encode", noted)
    thread = FirstQueryThread(shop.services.db, shop.services.query_encoder)
    thread.start()
    assert thread.join(seconds=PATIENCE_SECONDS)
    assert [vector.shape for vector in vectors] == [(shop.generation.size,)]


def test_a_network_that_cannot_be_used_ahead_ends_the_thread_alone(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: object) -> None:
        raise WeightsUnavailable("the weights are not on disk")

    monkeypatch.setattr(shop.services.embedders, "of", refuse)
    thread = FirstQueryThread(shop.services.db, shop.services.query_encoder)
    thread.start()
    assert thread.join(seconds=PATIENCE_SECONDS)


def test_a_worker_that_never_started_can_be_stopped() -> None:
    assert WorkerThread(StubbornWorker()).stop(seconds=0)  # type: ignore[arg-type]
