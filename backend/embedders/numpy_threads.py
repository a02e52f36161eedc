"""Multiply numpy's matrices on the calling thread only, while networks use the processors.

numpy's BLAS divides a product among threads of its own. For the small matrices of a batch they
mostly wait for each other, and keep a processor busy meanwhile.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Lock
from typing import Any

from threadpoolctl import ThreadpoolController


class _Limiter:
    """Counts who wants one thread. Nothing is changed where there is no BLAS with threads."""

    def __init__(self) -> None:
        # The BLAS obeys only the thread that has set the number first.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="blas")
        self._controller: Any = None  # finding the library takes milliseconds
        self._limit: Any = None
        self._lock = Lock()
        self._users = 0

    def enter(self) -> None:
        with self._lock:
            if self._users == 0:
                self._thread.submit(self._set).result()  # the host may refuse its thread
            self._users += 1

    def leave(self) -> None:
        with self._lock:
            self._users -= 1
            if self._users == 0:
                self._thread.submit(self._restore).result()

    def _set(self) -> None:
        self._controller = self._controller or ThreadpoolController()
        if self._limit is None:  # it is set already where a refused thread was started later
            self._limit = self._controller.limit(limits=1, user_api="blas")

    def _restore(self) -> None:
        self._limit.restore_original_limits()
        self._limit = None


_limiter = _Limiter()


def _begin_anew() -> None:
    """Replace the limiter in a forked process: its thread is not there, its lock may be held."""
    global _limiter  # noqa: PLW0603
    _limiter = _Limiter()


os.register_at_fork(after_in_child=_begin_anew)


@contextmanager
def on_one_thread() -> Iterator[None]:
    """Let the BLAS of the whole process use one thread, until the last caller leaves."""
    limiter = _limiter
    limiter.enter()
    try:
        yield
    finally:
        limiter.leave()
