"""Requests wait for threads in their order; those that take turns never run side by side."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from support.host_faults import no_threads

from backend.api.problems import RequestError
from backend.serving.request_threads import RequestThreads

PATIENCE = 60  # seconds, until a test that hangs fails


class Work:
    """What requests do: it notes who runs, and blocks where a test says so."""

    def __init__(self) -> None:
        self.order: list[str] = []
        self.side_by_side = 0
        self.ran_in: dict[str, str] = {}  # the thread of each
        self.gates: dict[str, threading.Event] = {}
        self.begun: dict[str, threading.Event] = {}
        self._running = 0
        self._lock = threading.Lock()

    def block(self, *names: str) -> None:
        for name in names:
            self.gates[name], self.begun[name] = threading.Event(), threading.Event()

    def __call__(self, environ: dict[str, Any]) -> str:
        name: str = environ["name"]
        with self._lock:
            self.order.append(name)
            self.ran_in[name] = threading.current_thread().name
            self._running += 1
            self.side_by_side = max(self.side_by_side, self._running)
        if name in self.gates:
            self.begun[name].set()
            assert self.gates[name].wait(PATIENCE)
        with self._lock:
            self._running -= 1
        if name == "bad":
            raise ValueError(name)
        return name.upper()


@pytest.fixture
def work() -> Work:
    return Work()


def threads_of(work: Callable[[dict[str, Any]], str], count: int = 4, *, waiting: int = 100) -> Any:
    return RequestThreads(work, count, waiting=waiting, name="test")


async def until(event: threading.Event) -> None:
    assert await asyncio.to_thread(event.wait, PATIENCE)


def test_those_that_take_turns_run_one_after_the_other_in_one_thread(work: Work) -> None:
    async def ask() -> list[str]:
        threads = threads_of(work)
        names = [str(number) for number in range(50)]
        found = await asyncio.gather(*(threads.run({"name": it}, in_turn=True) for it in names))
        assert threads.begun == 0
        return found

    found = asyncio.run(ask())
    assert found == work.order == [str(number) for number in range(50)]
    assert work.side_by_side == 1
    assert len(set(work.ran_in.values())) == 1


class QuickLoop(asyncio.SelectorEventLoop):
    """An event loop that has heard of an answer long before the thread goes on."""

    def call_soon_threadsafe(self, *arguments: Any, **options: Any) -> asyncio.Handle:
        handle = super().call_soon_threadsafe(*arguments, **options)
        time.sleep(0.01)
        return handle


def test_one_who_asks_again_at_once_has_the_same_thread(work: Work) -> None:
    async def ask() -> None:
        threads = threads_of(work)
        for number in range(20):
            await threads.run({"name": str(number)})

    with asyncio.Runner(loop_factory=QuickLoop) as runner:
        runner.run(ask())
    assert len(set(work.ran_in.values())) == 1


def test_the_thread_that_ended_last_goes_on(work: Work) -> None:
    work.block("one", "two")

    async def ask() -> None:
        threads = threads_of(work)
        asked = {it: asyncio.ensure_future(threads.run({"name": it})) for it in ("one", "two")}
        for name in asked:
            await until(work.begun[name])
        for name in ("two", "one"):
            work.gates[name].set()
            await asked[name]
        for number in range(10):
            await threads.run({"name": str(number)})

    asyncio.run(ask())
    assert len(set(work.ran_in.values())) == 2
    assert {work.ran_in[str(number)] for number in range(10)} == {work.ran_in["one"]}


def test_requests_without_a_turn_run_beside_those_that_take_turns(work: Work) -> None:
    work.block("turn", "one", "two")

    async def ask() -> None:
        threads = threads_of(work)
        asked = [asyncio.ensure_future(threads.run({"name": "turn"}, in_turn=True))]
        asked += [asyncio.ensure_future(threads.run({"name": it})) for it in ("one", "two")]
        for name in ("turn", "one", "two"):
            await until(work.begun[name])
        for gate in work.gates.values():
            gate.set()
        assert await asyncio.gather(*asked) == ["TURN", "ONE", "TWO"]

    asyncio.run(ask())
    assert work.side_by_side == 3


def test_what_takes_long_loses_its_turn(work: Work) -> None:
    work.block("long")

    async def ask() -> None:
        threads = threads_of(work)
        long = asyncio.ensure_future(threads.run({"name": "long"}, in_turn=True))
        await until(work.begun["long"])
        assert await threads.run({"name": "next"}, in_turn=True) == "NEXT"
        assert not long.done()
        work.gates["long"].set()
        assert await long == "LONG"
        assert await threads.run({"name": "last"}, in_turn=True) == "LAST"

    asyncio.run(ask())
    assert work.order == ["long", "next", "last"]


def test_the_oldest_request_is_next_whether_or_not_it_takes_turns(work: Work) -> None:
    work.block("first")

    async def ask() -> None:
        threads = threads_of(work, 1)
        asked = [asyncio.ensure_future(threads.run({"name": "first"}, in_turn=True))]
        await until(work.begun["first"])
        for number in range(6):
            name = {"name": str(number)}
            asked.append(asyncio.ensure_future(threads.run(name, in_turn=number % 2 == 0)))
            await asyncio.sleep(0)
        work.gates["first"].set()
        await asyncio.gather(*asked)

    asyncio.run(ask())
    assert work.order == ["first", *"012345"]


def test_requests_beyond_those_that_may_wait_are_refused(work: Work) -> None:
    work.block("first")

    async def ask() -> None:
        threads = threads_of(work, 1, waiting=2)
        asked = [asyncio.ensure_future(threads.run({"name": "first"}))]
        await until(work.begun["first"])
        asked += [asyncio.ensure_future(threads.run({"name": it})) for it in "ab"]
        await asyncio.sleep(0)
        with pytest.raises(RequestError) as caught:
            await threads.run({"name": "c"})
        assert (caught.value.status, caught.value.code) == (503, "server-busy")
        work.gates["first"].set()
        await asyncio.gather(*asked)
        assert threads.begun == 0
        assert await threads.run({"name": "d"}) == "D"

    asyncio.run(ask())
    assert work.order == ["first", "a", "b", "d"]


def test_an_error_is_raised_and_the_turn_goes_on(work: Work) -> None:
    async def ask() -> None:
        threads = threads_of(work, 1)
        with pytest.raises(ValueError, match="bad"):
            await threads.run({"name": "bad"}, in_turn=True)
        assert await threads.run({"name": "good"}, in_turn=True) == "GOOD"
        assert threads.begun == 0

    asyncio.run(ask())


def test_a_server_that_stops_answers_503_and_counts_until_the_thread_has_ended(
    work: Work,
) -> None:
    work.block("long")

    async def ask() -> None:
        threads = threads_of(work)
        asked = asyncio.ensure_future(threads.run({"name": "long"}))
        await until(work.begun["long"])
        asked.cancel()
        with pytest.raises(RequestError) as caught:
            await asked
        assert (caught.value.status, caught.value.code) == (503, "server-stopping")
        assert threads.begun == 1
        work.gates["long"].set()
        while threads.begun:
            await asyncio.sleep(0.01)

    asyncio.run(asyncio.wait_for(ask(), PATIENCE))


def test_a_thread_whose_event_loop_is_gone_lives_on(work: Work) -> None:
    work.block("long")
    threads = threads_of(work, 1)

    async def leave() -> None:
        asked = asyncio.ensure_future(threads.run({"name": "long"}))
        await until(work.begun["long"])
        asked.cancel()

    asyncio.run(leave())
    work.gates["long"].set()
    assert asyncio.run(threads.run({"name": "next"})) == "NEXT"
    assert len(set(work.ran_in.values())) == 1


def test_without_a_thread_a_request_is_refused_and_the_next_one_is_answered(work: Work) -> None:
    async def ask() -> None:
        threads = threads_of(work, 1, waiting=1)
        for in_turn in (False, True, False, True):
            with no_threads(), pytest.raises(RequestError, match="no further thread") as refused:
                await threads.run({"name": "refused"}, in_turn=in_turn)
            assert (refused.value.status, refused.value.code) == (503, "server-busy")
        assert threads.begun == 0
        assert await threads.run({"name": "a"}, in_turn=True) == "A"

    asyncio.run(ask())
    assert work.order == ["a"]


def test_a_request_for_which_the_host_has_no_thread_waits_for_one_that_runs(work: Work) -> None:
    work.block("long")

    async def ask() -> list[str]:
        threads = threads_of(work)
        long = asyncio.ensure_future(threads.run({"name": "long"}))
        await asyncio.sleep(0)
        work.begun["long"].wait(PATIENCE)
        with no_threads():
            next_ = [asyncio.ensure_future(threads.run({"name": it})) for it in "ab"]
            await asyncio.sleep(0)
        work.gates["long"].set()
        return await asyncio.gather(long, *next_)

    assert asyncio.run(ask()) == ["LONG", "A", "B"]
    assert work.order == ["long", "a", "b"]
