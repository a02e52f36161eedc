"""Short reads are answered in the event loop itself, all others by turns in threads.

To hand a request to a thread and its answer back takes about as long as SQLite takes for it: both
threads wake up, wait for the interpreter, and find cold caches. But whatever the loop waits for,
all connections wait for. So it only answers what was short ENOUGH times before, by the same path
and query string, and while no other read has its turn. What takes long once goes back to threads.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from typing import Any, Final, Generic, TypeAlias, TypeVar

from backend.api.context import IN_LOOP
from backend.serving.request_threads import RequestThreads, too_late

Answer = TypeVar("Answer")

Kind: TypeAlias = tuple[str, str]
"""How the path ends, and the query string."""

SHORT_SECONDS: Final = 0.01
"""A read takes 2 ms, and a worker's round that it waits for takes 10 to 20."""

ENOUGH: Final = 16
"""So many answers of a kind have to be short, one after the other."""

MOST_KINDS: Final = 512
LONGEST: Final = 2_000
"""Characters of a query string that is remembered."""

IN_A_ROW: Final = 4
"""So many answers the loop gives before it looks after all other connections."""

PATIENCE_SECONDS: Final = 0.2
"""How long a short read waits for the reads that threads answer before it takes a thread, too."""


class ShortReads(Generic[Answer]):
    """Answers reads whose paths end with one of `ends`.

    `run` answers a request; `threads` and `waiting` are those of `RequestThreads`. All methods but
    `_run_in_turn` and what it calls are called in the event loop.
    """

    def __init__(
        self,
        run: Callable[[dict[str, Any]], Answer],
        threads: int,
        *,
        waiting: int,
        ends: tuple[str, ...],
        in_loop: bool,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._run = run
        self._clock = clock
        self._ends = ends if in_loop else ()
        self.threads: RequestThreads[Answer] = RequestThreads(
            self._run_in_turn, threads, waiting=waiting, name="request"
        )
        self._streaks: dict[Kind, int] = {}  # short answers of a kind since the last long one
        self._lock = threading.Lock()  # for writing them
        self._in_a_row = 0
        self._waiting: list[asyncio.Event] = []  # of reads that wait for threads

    async def run(self, environ: dict[str, Any]) -> Answer:
        """Answer a read. Raises as `RequestThreads.run` does."""
        kind = self._kind_of(environ)
        is_mine = self._is_my_turn
        if self._is_short(kind) and not is_mine:
            await self._wait(kind)
            is_mine = self._is_my_turn
        if not (is_mine and self._is_short(kind)):
            return await self._run_in_thread(environ, kind)
        if not self._in_a_row:
            asyncio.get_running_loop().call_soon(self._begin_anew)
        self._in_a_row += 1
        environ[IN_LOOP] = True
        return self._run_timed(environ, kind)

    async def _run_in_thread(self, environ: dict[str, Any], kind: Kind | None) -> Answer:
        try:
            return await self.threads.run(environ, in_turn=True)
        finally:
            if self.threads.is_turn_free or not self._is_short(kind):
                for waiting in self._waiting:
                    waiting.set()
                self._waiting.clear()

    def _is_short(self, kind: Kind | None) -> bool:
        return kind is not None and self._streaks.get(kind, 0) >= ENOUGH

    @property
    def _is_my_turn(self) -> bool:
        return self._in_a_row < IN_A_ROW and self.threads.is_turn_free

    async def _wait(self, kind: Kind | None) -> None:
        """Wait until the loop has looked after other connections, and no thread has the turn.

        For a thread it waits PATIENCE_SECONDS at most. It also ends when an answer of this kind was
        long: then the next reads take threads, and would be answered before this one. Raises the
        503 where too many requests wait, and where the server stops meanwhile.
        """
        self.threads.check_room()
        self.threads.begun += 1
        try:
            while self._is_short(kind) and not self._is_my_turn:
                if self.threads.is_turn_free:
                    await asyncio.sleep(0)
                    continue
                free = asyncio.Event()
                self._waiting.append(free)
                async with asyncio.timeout(PATIENCE_SECONDS):
                    await free.wait()
        except TimeoutError:
            return
        except asyncio.CancelledError:
            raise too_late() from None
        finally:
            self.threads.begun -= 1

    def _begin_anew(self) -> None:
        self._in_a_row = 0

    def _run_in_turn(self, environ: dict[str, Any]) -> Answer:
        return self._run_timed(environ, self._kind_of(environ))

    def _run_timed(self, environ: dict[str, Any], kind: Kind | None) -> Answer:
        """Answer a request, and note how long that took; also called in the threads."""
        began = self._clock()
        try:
            return self._run(environ)
        finally:
            if kind is not None:
                self._note(kind, self._clock() - began)

    def _note(self, kind: Kind, seconds: float) -> None:
        with self._lock:
            streak = self._streaks.pop(kind, 0)  # it is added again, as the latest
            self._streaks[kind] = streak + 1 if seconds < SHORT_SECONDS else 0
            if len(self._streaks) > MOST_KINDS:
                del self._streaks[next(iter(self._streaks))]

    def _kind_of(self, environ: dict[str, Any]) -> Kind | None:
        """Return the kind of a read; None for what is never answered in the loop."""
        path, query = environ["PATH_INFO"], environ["QUERY_STRING"]
        if environ["REQUEST_METHOD"] != "GET" or len(query) > LONGEST:
            return None
        for end in self._ends:
            if path.endswith(end):
                return end, query
        return None
