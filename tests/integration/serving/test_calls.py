"""Calls between the processes of a server: answers, errors, and the death of who answers."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest
from support.host_faults import no_threads

from backend.calls import Answering, Caller, NoAnswer, make_pair
from backend.errors import UnknownProduct

PATIENCE_SECONDS = 60

PROGRAM = r"""
import os, socket, sys, threading
from backend.calls import Answering

def answer(name, arguments, more):
    if name == "die":
        os._exit(1)
    return os.getpid()

Answering(socket.socket(fileno=int(sys.argv[1])), answer).start()
threading.Event().wait()
"""


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    asking, answering = make_pair()
    with asking, answering:
        yield asking, answering


@pytest.fixture
def caller(ends: tuple[socket.socket, socket.socket]) -> Iterator[Caller]:
    made = Caller(ends[0])
    yield made
    made.close()


@contextmanager
def process(answering: socket.socket) -> Iterator[int]:
    """Run a process that answers every call with its number, and dies by `die`."""
    number = answering.fileno()
    running = subprocess.Popen([sys.executable, "-c", PROGRAM, str(number)], pass_fds=[number])
    try:
        yield running.pid
    finally:
        running.kill()
        running.wait()


def answer_here(name: str, arguments: tuple[Any, ...], more: dict[str, Any]) -> Any:
    if name == "refuse":
        raise UnknownProduct("no such product", sku=arguments[0])
    if name == "fail":
        raise ZeroDivisionError("of the program")
    return arguments, more


@pytest.fixture
def answering(ends: tuple[socket.socket, socket.socket]) -> Iterator[None]:
    made = Answering(ends[1], answer_here)
    made.start()
    yield
    made.stop()


@pytest.mark.usefixtures("answering")
def test_what_is_returned_and_what_is_raised_reaches_the_caller(caller: Caller) -> None:
    long = b"a" * 3_000_000
    assert caller.call("echo", 1, long, word=["b"]) == ((1, long), {"word": ["b"]})
    with pytest.raises(UnknownProduct, match="no such product") as refused:
        caller.call("refuse", "sku-1")
    assert refused.value.context == {"sku": "sku-1"}
    with pytest.raises(RuntimeError, match="ZeroDivisionError"):
        caller.call("fail")
    assert caller.call("echo", 2) == ((2,), {}), "it goes on after errors"


@pytest.mark.usefixtures("answering")
def test_threads_get_their_own_answers(caller: Caller) -> None:
    def ask(number: int) -> bool:
        return all(
            caller.call("echo", number, again) == ((number, again), {}) for again in range(50)
        )

    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(ask, range(8)))


def test_a_call_waits_for_the_process_that_replaces_a_dead_one(
    ends: tuple[socket.socket, socket.socket], caller: Caller
) -> None:
    with ExitStack() as first, ThreadPoolExecutor(1) as thread:
        dead = first.enter_context(process(ends[1]))
        assert caller.call("who", seconds=PATIENCE_SECONDS) == dead
        first.close()
        waiting = thread.submit(caller.call, "who", seconds=PATIENCE_SECONDS)
        with process(ends[1]) as next_one:
            assert waiting.result() == next_one


def test_a_call_that_kills_who_answers_or_that_nobody_answers_ends(
    ends: tuple[socket.socket, socket.socket], caller: Caller
) -> None:
    with process(ends[1]):
        caller.call("who", seconds=PATIENCE_SECONDS)
        with pytest.raises(NoAnswer):
            caller.call("die", seconds=1)
    with pytest.raises(NoAnswer, match=r"no answer within 0\.2 s"):
        caller.call("who", seconds=0.2)


def test_a_call_for_which_the_host_has_no_thread_is_not_the_last_one(
    ends: tuple[socket.socket, socket.socket], caller: Caller
) -> None:
    answering = Answering(ends[1], answer_here)
    answering.start()
    with no_threads(), pytest.raises(NoAnswer):
        caller.call("echo", 1, seconds=0.5)
    assert caller.call("echo", 1) == ((1,), {})
    answering.stop()
