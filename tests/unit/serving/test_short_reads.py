"""The event loop answers what was short before, and nothing else."""

from __future__ import annotations

import asyncio
import functools
import threading
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from backend.api.context import IN_LOOP
from backend.api.problems import RequestError
from backend.serving.short_reads import (
    ENOUGH,
    IN_A_ROW,
    LONGEST,
    MOST_KINDS,
    SHORT_SECONDS,
    ShortReads,
)

PATIENCE = 60  # seconds, until a test that hangs fails
LOOP = "the loop"


class Work:
    """Answers with the thread that has asked it; its time is what the test says."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.gate: threading.Event | None = None
        self.begun = threading.Event()
        self.error: Exception | None = None
        self._now = threading.local()

    def clock(self) -> float:
        found: float = getattr(self._now, "now", 0.0)
        return found

    def __call__(self, environ: dict[str, Any]) -> str:
        self._now.now = self.clock() + self.seconds
        if self.gate is not None and environ["QUERY_STRING"] == "blocks":
            self.begun.set()
            assert self.gate.wait(PATIENCE)
        if self.error:
            raise self.error
        is_loop = threading.current_thread() is threading.main_thread()
        assert is_loop is (IN_LOOP in environ)
        return LOOP if is_loop else "a thread"


@pytest.fixture
def work() -> Work:
    return Work()


def reads_of(work: Work, *, in_loop: bool = True, waiting: int = 100) -> ShortReads[str]:
    ends = ("/similar", "/together")
    return ShortReads(work, 2, waiting=waiting, ends=ends, in_loop=in_loop, clock=work.clock)


def read(query: str = "", path: str = "/v1/products/a/similar", method: str = "GET") -> Any:
    return {"REQUEST_METHOD": method, "PATH_INFO": path, "QUERY_STRING": query}


def in_event_loop(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    @functools.wraps(test)
    def run(**arguments: Any) -> None:
        asyncio.run(test(**arguments))

    return run


async def ask_often(reads: ShortReads[str], many: int = ENOUGH, query: str = "") -> list[str]:
    return [await reads.run(read(query)) for _ in range(many)]


@in_event_loop
async def test_what_was_short_often_enough_is_answered_in_the_loop(work: Work) -> None:
    reads = reads_of(work)
    assert await ask_often(reads) == ["a thread"] * ENOUGH
    assert await ask_often(reads) == [LOOP] * ENOUGH
    assert await reads.run(read(path="/v1/products/b/similar")) == LOOP
    assert reads.threads.begun == 0


@in_event_loop
async def test_each_query_string_and_each_path_proves_itself(work: Work) -> None:
    reads = reads_of(work)
    await ask_often(reads)
    assert await reads.run(read("text=red")) == "a thread"
    assert await reads.run(read(path="/v1/products/a/together")) == "a thread"
    assert await reads.run(read()) == LOOP


@in_event_loop
async def test_what_takes_long_once_goes_back_to_threads(work: Work) -> None:
    reads = reads_of(work)
    await ask_often(reads)
    work.seconds = SHORT_SECONDS
    assert await reads.run(read()) == LOOP
    assert await ask_often(reads, 2 * ENOUGH) == ["a thread"] * 2 * ENOUGH
    work.seconds = 0
    assert await ask_often(reads) == ["a thread"] * ENOUGH
    assert await reads.run(read()) == LOOP


@in_event_loop
async def test_without_in_loop_every_read_goes_to_a_thread(work: Work) -> None:
    reads = reads_of(work, in_loop=False)
    assert set(await ask_often(reads, 2 * ENOUGH)) == {"a thread"}


@pytest.mark.parametrize(
    "other", [read("x" * (LONGEST + 1)), read(method="HEAD"), read(path="/v1/products/a")]
)
@in_event_loop
async def test_other_requests_are_never_answered_in_the_loop(
    work: Work, other: dict[str, Any]
) -> None:
    reads = reads_of(work)
    assert {await reads.run(dict(other)) for _ in range(2 * ENOUGH)} == {"a thread"}


@in_event_loop
async def test_a_short_read_waits_for_the_reads_of_threads(work: Work) -> None:
    work.gate = threading.Event()
    reads = reads_of(work)
    await ask_often(reads)
    blocked = asyncio.ensure_future(reads.run(read("blocks")))
    assert await asyncio.to_thread(work.begun.wait, PATIENCE)
    following = asyncio.ensure_future(reads.run(read()))
    await asyncio.sleep(0)
    assert not following.done()
    assert work.gate
    work.gate.set()
    assert await blocked == "a thread"
    assert await following in {LOOP, "a thread"}  # the latter if it has waited too long
    assert await reads.run(read()) == LOOP
    assert reads.threads.begun == 0


@in_event_loop
async def test_a_short_read_does_not_wait_for_one_that_takes_long(work: Work) -> None:
    work.gate = threading.Event()
    reads = reads_of(work)
    await ask_often(reads)
    blocked = asyncio.ensure_future(reads.run(read("blocks")))
    assert await asyncio.to_thread(work.begun.wait, PATIENCE)
    assert await reads.run(read()) == "a thread"
    assert not blocked.done()
    assert work.gate
    work.gate.set()
    assert await blocked == "a thread"


@in_event_loop
async def test_the_loop_looks_after_others_between_some_answers(work: Work) -> None:
    reads, order = reads_of(work), list[str]()
    await ask_often(reads)

    async def one(name: str) -> None:
        assert await reads.run(read()) == LOOP
        order.append(name)

    asked = [asyncio.ensure_future(one(str(number))) for number in range(2 * IN_A_ROW)]
    await asyncio.sleep(0)
    asyncio.get_running_loop().call_soon(order.append, "other")
    await asyncio.gather(*asked)
    numbers = [name for name in order if name != "other"]
    assert numbers == [str(number) for number in range(2 * IN_A_ROW)]
    assert order.index("other") <= order.index(str(IN_A_ROW)) + IN_A_ROW
    assert order.index(str(IN_A_ROW - 1)) < order.index("other")
    assert reads.threads.begun == 0


@in_event_loop
async def test_those_that_wait_are_answered_first_where_threads_go_on(work: Work) -> None:
    """One long answer among them sends those that follow to threads."""
    waiting = [str(number) for number in range(5 * IN_A_ROW)]
    later = [f"later {number}" for number in range(6)]
    reads, order = reads_of(work), list[str]()
    await ask_often(reads)

    async def one(name: str) -> None:
        await reads.run(read())
        order.append(name)

    async def long() -> None:
        await reads.run(read())  # waits for the loop, as its place is behind IN_A_ROW others
        work.seconds = 0

    def start(names: list[str]) -> list[asyncio.Future[None]]:
        return [asyncio.ensure_future(one(name)) for name in names]

    first = start(["first"] * IN_A_ROW)
    behind = asyncio.ensure_future(long())
    asked = start(waiting)
    await asyncio.gather(*first)
    work.seconds = SHORT_SECONDS
    await behind
    await asyncio.gather(*asked, *start(later))
    assert order.index(waiting[-1]) < order.index(later[-1])
    assert reads.threads.begun == 0


@in_event_loop
async def test_of_those_that_wait_for_the_loop_too_many_are_refused(work: Work) -> None:
    reads = reads_of(work, waiting=1)  # and two threads
    await ask_often(reads)
    asked = [asyncio.ensure_future(reads.run(read())) for _ in range(IN_A_ROW + 4)]
    answers = await asyncio.gather(*asked, return_exceptions=True)
    refused = [it for it in answers if isinstance(it, RequestError)]
    assert [it.code for it in refused] == ["server-busy"]
    assert answers.count(LOOP) == IN_A_ROW + 3


@in_event_loop
async def test_one_that_waits_for_the_loop_when_the_server_stops_is_answered(work: Work) -> None:
    reads = reads_of(work)
    await ask_often(reads)
    asked = [asyncio.ensure_future(reads.run(read())) for _ in range(IN_A_ROW + 1)]
    await asyncio.sleep(0)
    asked[-1].cancel()
    answers = await asyncio.gather(*asked, return_exceptions=True)
    assert answers[:-1] == [LOOP] * IN_A_ROW
    assert isinstance(answers[-1], RequestError)
    assert answers[-1].code == "server-stopping"
    assert reads.threads.begun == 0


@in_event_loop
async def test_an_error_is_raised(work: Work) -> None:
    reads = reads_of(work)
    await ask_often(reads)
    work.error = ValueError("bad")
    with pytest.raises(ValueError, match="bad"):
        await reads.run(read())
    work.error = None
    assert await reads.run(read()) == LOOP


@in_event_loop
async def test_the_kinds_that_were_asked_for_last_are_remembered(work: Work) -> None:
    reads = reads_of(work)
    await ask_often(reads)
    for number in range(MOST_KINDS - 1):
        await reads.run(read(f"user={number}"))
    assert await reads.run(read()) == LOOP
    for number in range(MOST_KINDS):
        await reads.run(read(f"user={number}"))
    assert await reads.run(read()) == "a thread"
