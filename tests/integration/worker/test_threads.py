"""The thread beside the API: it starts, fails, says so, and is stopped."""

from __future__ import annotations

import threading

import pytest
from support.servers import wait_for
from support.shop import Shop

from backend.errors import IndexUnavailable, WeightsUnavailable
from backend.worker.loop import Worker
from backend.worker.threads import WorkerThread

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


def test_a_worker_that_never_started_can_be_stopped() -> None:
    assert WorkerThread(StubbornWorker()).stop(seconds=0)  # type: ignore[arg-type]
