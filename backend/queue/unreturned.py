"""Claims that could not be given back because the database failed: given back when it answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Final, TypeAlias

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from backend.database.engine import Database
from backend.errors import DatabaseUnavailable

DATABASE_FAILED: Final = f"{DatabaseUnavailable.code}: the database failed meanwhile"
"""The reason of rows that are given back because the database failed."""

GiveBack: TypeAlias = Callable[[Session], object]
"""Gives the rows of one claim back. It leaves alone what is settled, or claimed by another."""


class Unreturned:
    """The claims of one process that wait for the database. Safe to share between threads.

    Without it, their rows would be due again only when the lease ends.
    """

    def __init__(self) -> None:
        self._waiting: list[GiveBack] = []
        self._lock = Lock()

    @contextmanager
    def kept(self, give_back: GiveBack) -> Iterator[None]:
        """Remember `give_back` if the database fails in the block; the error goes on."""
        try:
            yield
        except (SQLAlchemyError, DatabaseUnavailable):
            with self._lock:
                self._waiting.append(give_back)
            raise

    def give_back(self, db: Database) -> None:
        """Give everything back. Raises what the database raises; then it is tried again later."""
        with self._lock:
            waiting, self._waiting = self._waiting, []
        for number, give_back in enumerate(waiting):
            try:
                db.write(give_back)
            except BaseException:
                with self._lock:
                    self._waiting[:0] = waiting[number:]
                raise
