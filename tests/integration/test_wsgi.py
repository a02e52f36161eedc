"""The thread beside the API: it starts, fails, says so, and is stopped."""

from __future__ import annotations

import threading

import pytest
from support.servers import wait_for
from support.shop import Shop

from backend.errors import IndexUnavailable, WeightsUnavailable
from backend.worker.loop import Worker
from backend.wsgi import Background

PATIENCE_SECONDS = 60  # for a busy machine; nothing here takes two


class Stubborn:
    """A worker whose weights arrive late."""

    def __init__(self) -> None:
        self.tries = 0
        self.trouble: str | None = None
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


def test_a_worker_that_cannot_start_says_so_and_tries_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("backend.wsgi.RETRY_SECONDS", 0.01)
    worker = Stubborn()
    background = Background(worker)  # type: ignore[arg-type]
    assert background.trouble() == "is loading the embedder"
    background.start()
    wait_for(lambda: worker.tries > 2)
    assert background.trouble() == "weights-unavailable: the weights are not on disk"
    worker.may_start.set()
    wait_for(lambda: background.trouble() is None)
    worker.trouble = "failed: the index has gone"
    assert background.trouble() == "failed: the index has gone", "a round can fail later, too"
    assert background.stop(seconds=PATIENCE_SECONDS)


def test_a_round_that_fails_is_told_until_one_succeeds(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = Worker(shop.services)
    background = Background(worker)

    def refuse(_: object) -> None:
        raise IndexUnavailable("the shard has gone")

    with monkeypatch.context() as patch:
        patch.setattr(shop.services.indexes, "of", refuse)
        shop.put("1", "red")
        background.start()
        wait_for(lambda: background.trouble() == "failed: the shard has gone")
    background.notify()
    wait_for(lambda: background.trouble() is None)
    assert background.stop(seconds=PATIENCE_SECONDS)


def test_a_worker_that_never_started_can_be_stopped() -> None:
    assert Background(Stubborn()).stop(seconds=0)  # type: ignore[arg-type]
