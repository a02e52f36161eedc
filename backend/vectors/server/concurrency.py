"""How many calls of a process may wait for the server at once: the other threads stay free."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from backend.errors import IndexUnavailable

PATIENCE_SECONDS: Final = 0.5
"""A call beyond the limit waits as long as others are answered, and else for this time."""


class ConcurrencyLimit:
    """Limits the calls under way. Safe to share between threads.

    As long as the server answers, a call beyond the limit waits for another to end. When none of
    those under way has been answered for a while, it is refused at once.
    """

    def __init__(self, count: int | None, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._most = count
        self._clock = clock
        self._changed = threading.Condition()
        self._under_way = 0
        self._moved_at = clock()  # the last answer, or since when the first call is under way

    @contextmanager
    def one_call(self) -> Iterator[None]:
        """Count as under way. Raises IndexUnavailable beyond the limit if no call is answered."""
        if self._most is None:
            yield
            return
        self._begin(self._most)
        answered = False
        try:
            yield
            answered = True
        except Exception as error:
            answered = type(error) is not IndexUnavailable  # a refusal is an answer
            raise
        finally:
            self._end(answered=answered)

    def _begin(self, count: int) -> None:
        with self._changed:
            while self._under_way >= count:
                left = self._moved_at + PATIENCE_SECONDS - self._clock()
                if left <= 0:
                    raise IndexUnavailable(
                        f"the Qdrant server has answered none of {count} requests for "
                        f"{self._clock() - self._moved_at:.1f} s"
                    )
                self._changed.wait(left)
            if not self._under_way:
                self._moved_at = self._clock()
            self._under_way += 1

    def _end(self, *, answered: bool) -> None:
        with self._changed:
            self._under_way -= 1
            if answered:
                self._moved_at = self._clock()
            self._changed.notify()
