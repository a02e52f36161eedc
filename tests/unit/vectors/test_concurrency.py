"""A server that answers nothing takes its limit, and no thread beyond them."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from support.servers import wait_for

from backend.errors import IndexGone, IndexUnavailable
from backend.vectors.server.concurrency import ConcurrencyLimit


def test_calls_beyond_the_limit_are_refused_while_nothing_is_answered() -> None:
    limit, end, begun = ConcurrencyLimit(2), threading.Event(), threading.Semaphore(0)

    def call() -> None:
        with limit.one_call():
            begun.release()
            end.wait()

    with ThreadPoolExecutor(2) as threads:
        held = [threads.submit(call) for _ in range(2)]
        for _ in held:
            begun.acquire()
        for _ in range(3):
            with pytest.raises(IndexUnavailable, match="none of 2 requests"), limit.one_call():
                raise AssertionError("there is no slot")
        end.set()
        for one in held:
            one.result()
    with limit.one_call():
        pass


def test_a_call_waits_for_a_slot_while_others_are_answered() -> None:
    limit, done = ConcurrencyLimit(1), []

    def call(number: int) -> None:
        with limit.one_call():
            done.append(number)

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(call, range(200)))
    assert sorted(done) == list(range(200))


def test_a_refusal_is_an_answer_and_a_time_out_is_none() -> None:
    clock = iter(range(100)).__next__
    limit = ConcurrencyLimit(1, clock=lambda: float(clock()))
    with pytest.raises(IndexGone), limit.one_call():
        raise IndexGone
    with pytest.raises(IndexUnavailable), limit.one_call():
        raise IndexUnavailable
    with limit.one_call():
        pass


def test_without_a_number_there_is_no_limit() -> None:
    limit = ConcurrencyLimit(None)
    with limit.one_call(), limit.one_call(), limit.one_call():
        assert wait_for(lambda: True)
