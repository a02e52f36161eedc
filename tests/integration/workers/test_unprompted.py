"""A worker that no message reaches works by SQL, and its heartbeat goes on."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest
from structlog.testing import capture_logs
from support.servers import wait_for
from support.shop import QUICK, Shop, four_products

from backend.errors import IndexUnavailable
from backend.settings import Settings
from workers.heartbeat import Heartbeat
from workers.unprompted import Unprompted


@pytest.fixture
def ends() -> Iterator[tuple[Heartbeat, socket.socket]]:
    """A worker's heartbeat, and the end that its supervisor holds."""
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    heartbeat = Heartbeat(ours.detach(), stop_seconds=1)
    yield heartbeat, theirs
    heartbeat.close()
    theirs.close()


def received(end: socket.socket) -> int:
    try:
        return len(end.recv(100))
    except BlockingIOError:
        return 0


@pytest.fixture
def shop(settings: Settings) -> Iterator[Shop]:
    with Shop(settings, **QUICK) as one:
        four_products(one)
        one.put("new", "green")
        yield one


def test_without_messages_a_worker_does_what_sql_says_is_due(
    shop: Shop, ends: tuple[Heartbeat, socket.socket]
) -> None:
    unprompted = Unprompted(shop.worker, ends[0], poll_seconds=0)
    assert shop.worker.progress().pending
    wait_for(lambda: unprompted() or not shop.worker.progress().pending)
    assert received(ends[1])


def test_a_message_a_moment_ago_is_enough(
    shop: Shop, ends: tuple[Heartbeat, socket.socket]
) -> None:
    unprompted = Unprompted(shop.worker, ends[0], poll_seconds=3600)
    unprompted.note_message()
    before = shop.worker.progress()
    unprompted()
    assert shop.worker.progress() == before
    assert not received(ends[1])


@pytest.mark.parametrize(
    ("error", "event"),
    [
        (IndexUnavailable("it is away"), "cannot work without messages"),
        (ZeroDivisionError("a defect"), "a round of work failed"),
    ],
)
def test_a_failure_is_logged_and_the_worker_goes_on(
    shop: Shop,
    ends: tuple[Heartbeat, socket.socket],
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
    event: str,
) -> None:
    def fail() -> bool:
        raise error

    unprompted = Unprompted(shop.worker, ends[0], poll_seconds=0)
    with monkeypatch.context() as patched, capture_logs() as lines:
        patched.setattr(shop.worker, "work_once", fail)
        unprompted()
    assert [line["event"] for line in lines] == [event]
    wait_for(lambda: unprompted() or not shop.worker.progress().pending)


def test_only_an_idle_worker_sends_heartbeats_by_itself(
    ends: tuple[Heartbeat, socket.socket],
) -> None:
    heartbeat, end = ends
    heartbeat.idle()
    assert received(end) == 1
    heartbeat()  # a moment after the last one
    assert received(end) == 0
