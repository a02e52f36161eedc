"""The threads that run the app, the requests that wait for one, and those that take turns.

Python runs one thread at a time. Where several threads answer short reads at once, they only take
the interpreter from each other: each statement of SQLite gives it back for a moment, row by row.
So short reads take turns: one runs, and the thread that ends goes on with the next one. What takes
long loses its turn, and the next read runs beside it.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from queue import SimpleQueue
from typing import Any, Final, Generic, TypeAlias, TypeVar

from backend.api.problems import RequestError
from backend.own_threads import start_thread

Answer = TypeVar("Answer")

Environ: TypeAlias = dict[str, Any]

LONG_SECONDS: Final = 0.05
"""How long a request may take before others no longer wait for their turn: twenty short reads."""


@dataclass(slots=True, eq=False)
class _Job(Generic[Answer]):
    """One request, and the future in which the event loop waits for its answer."""

    environ: Environ
    future: asyncio.Future[Answer]
    loop: asyncio.AbstractEventLoop
    number: int
    in_turn: bool
    began: float = 0.0


class RequestThreads(Generic[Answer]):
    """A fixed number of threads that call `run` for each request; started when needed.

    At most `waiting` requests wait for a thread. Of threads without work, the last to end is the
    first to go on: what it needs is in its processor's cache. `run` is called in the event loop;
    what it decides, and what threads take next, happens under a lock that nobody holds for long.
    """

    def __init__(
        self, run: Callable[[Environ], Answer], threads: int, *, waiting: int, name: str
    ) -> None:
        self._run = run
        self._name = name
        self._threads = threads
        self._waiting = waiting
        self.begun = 0  # requests that run or wait; changed in the event loop alone
        self._lock = threading.Lock()
        self._started = 0  # threads
        self._idle: list[SimpleQueue[_Job[Answer]]] = []  # of threads that wait, the latest last
        self._free: deque[_Job[Answer]] = deque()  # may run beside all others
        self._in_turn: deque[_Job[Answer]] = deque()
        self._turn: _Job[Answer] | None = None  # the one whose turn it is
        self._numbers = 0
        self._watch: asyncio.TimerHandle | None = None

    async def run(self, environ: Environ, *, in_turn: bool = False) -> Answer:
        """Answer a request in a thread, one `in_turn` only when it is its turn.

        Raises the 503 where too many requests wait, and where the server stops meanwhile.
        """
        self.check_room()
        self.begun += 1
        loop = asyncio.get_running_loop()
        self._numbers += 1
        job = _Job(environ, loop.create_future(), loop, self._numbers, in_turn)
        self._add(job)
        try:
            answer: Answer = await job.future
        except asyncio.CancelledError:
            raise too_late() from None
        return answer

    def check_room(self) -> None:
        """Raise the 503 where too many requests wait."""
        if self.begun >= self._threads + self._waiting:
            detail = f"{self._waiting} requests are waiting already"
            raise RequestError(503, "server-busy", detail, headers={"Retry-After": "1"})

    @property
    def is_turn_free(self) -> bool:
        """Whether no request has its turn, and none waits for it."""
        return self._turn is None and not self._in_turn

    def _add(self, job: _Job[Answer]) -> None:
        with self._lock:
            (self._in_turn if job.in_turn else self._free).append(job)
            self._hand_out()
            is_watched = self._watch is not None or not self._in_turn
        if not is_watched:
            self._watch = job.loop.call_later(LONG_SECONDS, self._look, job.loop)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        """Take its turn from a request that takes long; called while others wait for theirs."""
        self._watch = None
        with self._lock:
            if self._turn is not None and time.monotonic() - self._turn.began >= LONG_SECONDS:
                self._turn = None
            self._hand_out()
            is_over = not self._in_turn
        if not is_over:
            self._watch = loop.call_later(LONG_SECONDS, self._look, loop)

    def _hand_out(self) -> None:
        """Give what may run to threads without work; the lock is held."""
        while self._idle or self._started < self._threads:
            job = self._take()
            if job is None:
                return
            if self._idle:
                self._idle.pop().put(job)
            elif not self._start(job):
                return

    def _start(self, job: _Job[Answer]) -> bool:
        """Give a request to a new thread. Where the host refuses one, it waits for those that run.

        Without any it is refused: nobody would take it. The lock is held.
        """
        self._started += 1
        if start_thread(self._work, job, name=f"{self._name}_{self._started}"):
            return True
        self._started -= 1
        if self._turn is job:
            self._turn = None
        if self._started:
            (self._in_turn if job.in_turn else self._free).appendleft(job)
        else:
            self._fail(job, no_thread())
        return False

    def _take(self) -> _Job[Answer] | None:
        """Take the oldest request that may run, None without one; the lock is held."""
        free, waiting = self._free, self._in_turn
        if waiting and self._turn is None and not (free and free[0].number < waiting[0].number):
            self._turn = job = waiting.popleft()
            job.began = time.monotonic()
            return job
        return free.popleft() if free else None

    def _work(self, first: _Job[Answer]) -> None:
        """Answer requests until the process ends."""
        handed: SimpleQueue[_Job[Answer]] = SimpleQueue()
        handed.put(first)
        while True:
            job: _Job[Answer] | None = handed.get()
            while job is not None:
                done, tell = job, self._answer(job)
                with self._lock:
                    if self._turn is done:
                        self._turn = None
                    job = self._take()
                    if job is None:
                        self._idle.append(handed)
                with suppress(RuntimeError):  # the loop is closed: nobody waits
                    done.loop.call_soon_threadsafe(tell)

    def _answer(self, job: _Job[Answer]) -> Callable[[], None]:
        """Answer a request; return what tells it to the event loop.

        The loop is told when this thread is idle again: the client may ask again at once.
        """
        try:
            return partial(self._succeed, job, self._run(job.environ))
        except BaseException as error:  # noqa: BLE001  # the event loop raises it
            return partial(self._fail, job, error)

    def _succeed(self, job: _Job[Answer], answer: Answer) -> None:
        self.begun -= 1
        if not job.future.done():  # its client may have given it up
            job.future.set_result(answer)

    def _fail(self, job: _Job[Answer], error: BaseException) -> None:
        self.begun -= 1
        if not job.future.done():
            job.future.set_exception(error)


def no_thread() -> RequestError:
    """Return the 503 of a request for which the host starts no thread."""
    detail = "the host starts no further thread of this process"
    return RequestError(503, "server-busy", detail, headers={"Retry-After": "5"})


def too_late() -> RequestError:
    """Return the 503 of a request that the server's end has cut short."""
    detail = "the server is stopping, and this request took too long"
    return RequestError(503, "server-stopping", detail, headers={"Retry-After": "5"})
