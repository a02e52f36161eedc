"""How many calls of a process may wait for the server at once: the other threads stay free."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from backend.errors import IndexUnavailable

PATIENCE_SECONDS: Final = 0.5
"""A call that finds no slot waits as long as others are answered, and else for this time."""


class Slots:
    """Places for calls. Safe to share between threads.

    As long as the server answers, a call that finds no place waits for one. When none of those
    under way has been answered for a while, it is refused at once.
    """

    def __init__(self, count: int | None, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._free = count
        self._clock = clock
        self._changed = threading.Condition()
        self._taken = 0
        self._moved_at = clock()  # the last answer, or since when the first call is under way

    @contextmanager
    def one(self) -> Iterator[None]:
        """Hold a place. Raises IndexUnavailable if no place is free and no call is answered."""
        if self._free is None:
            yield
            return
        self._take(self._free)
        answered = False
        try:
            yield
            answered = True
        except Exception as error:
            answered = type(error) is not IndexUnavailable  # a refusal is an answer
            raise
        finally:
            self._give_back(answered=answered)

    def _take(self, count: int) -> None:
        with self._changed:
            while self._taken >= count:
                left = self._moved_at + PATIENCE_SECONDS - self._clock()
                if left <= 0:
                    raise IndexUnavailable(
                        f"the Qdrant server has answered none of {count} requests for "
                        f"{self._clock() - self._moved_at:.1f} s"
                    )
                self._changed.wait(left)
            if not self._taken:
                self._moved_at = self._clock()
            self._taken += 1

    def _give_back(self, *, answered: bool) -> None:
        with self._changed:
            self._taken -= 1
            if answered:
                self._moved_at = self._clock()
            self._changed.notify()
