"""How much of the catalogue the active index holds: an index that was lost or is filling says so.

The points of the index are counted, not the rows of SQL. Counting costs a statement and a count of
the points, so a count is used for a while, and a query never counts.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, TypeAlias

from sqlalchemy import and_, case, func, select
from sqlalchemy.orm import Session

from backend import generations
from backend.database.engine import Database
from backend.database.models import Generation, IndexEntry, Product
from backend.errors import LookalikeError
from backend.queue.progress import of_product
from backend.vectors import VectorIndex

GOOD_FOR_SECONDS: Final = 2.0
"""How long a count is used, at least."""

GOOD_FOR: Final = 20
"""A count is used for this many times as long as counting took."""

_State: TypeAlias = tuple[VectorIndex, object, int]
"""(the index that was counted, its version, that of the database)"""

COMMAND: Final = "lookalike verify --fix"
"""What refills an index that was lost."""


@dataclass(frozen=True, kw_only=True)
class Coverage:
    """Counts of one generation.

    `products` are those of the catalogue that can be in the index: not what is in quarantine and
    never had a vector. `embedded` are those whose vector is known: a first import is searchable as
    far as it has come, but these have been in the index, or will be at once.
    """

    points: int
    products: int
    embedded: int

    @property
    def share(self) -> float:
        """The share of the products that are in the index, 0 to 1; 1 of an empty catalogue."""
        return min(1.0, self.points / self.products) if self.products else 1.0

    @property
    def text(self) -> str:
        """The counts in words."""
        return f"{min(self.points, self.products):,} of {self.products:,}"

    def is_enough(self, share: float) -> bool:
        """Tell whether the index holds at least this share of what has a vector."""
        return self.points >= share * self.embedded


class CoverageMonitor:
    """Counts now and then. Safe to call from several threads."""

    def __init__(self, db: Database, index_of: Callable[[Generation], VectorIndex]) -> None:
        self._db = db
        self._index_of = index_of
        self._counting = threading.Lock()
        self._counted: dict[int, Coverage] = {}  # of one generation: the one asked for last
        self._good_until = 0.0
        self._counted_of: _State | None = None  # what was counted; None: unknown

    @property
    def latest(self) -> Coverage | None:
        """The last count of whichever generation, None before the first one."""
        return next(iter(self._counted.values()), None)

    def last(self, generation: Generation) -> Coverage | None:
        """Return the last count, None before the first one; counts nothing."""
        return self._counted.get(generation.id)

    def known(self, generation: Generation) -> Coverage:
        """Return the last count, and count only if there is none; raises what the index raises."""
        return self.last(generation) or self.current(generation)

    def refresh(self) -> None:
        """Count the active generation if its count is no longer recent and its index answers."""
        if time.monotonic() < self._good_until:
            return
        if self._counted_of is not None and self._state_of(self._counted_of[0]) == self._counted_of:
            self._good_until = time.monotonic() + GOOD_FOR_SECONDS
            return
        with self._db.read() as session:
            generation = generations.active_or_none(session)
        if generation is not None:
            with suppress(LookalikeError):
                self.current(generation)

    def current(self, generation: Generation) -> Coverage:
        """Return a count that is recent, counted now if something has changed since.

        While one thread counts, the others get the last count. Raises what the index raises.
        """
        found = self.last(generation)
        if found is not None and time.monotonic() < self._good_until:
            return found
        if found is None:
            self._counting.acquire()
        elif not self._counting.acquire(blocking=False):
            return found
        try:
            return self._counted_now(generation)
        finally:
            self._counting.release()

    def _counted_now(self, generation: Generation) -> Coverage:
        began, index = time.monotonic(), self._index_of(generation)
        of = self._state_of(index)  # first: what is written while it is counted changes it
        found = self.last(generation)
        if found is None or of is None or of != self._counted_of:
            found = self._count(generation, index)
        took = time.monotonic() - began
        self._counted, self._counted_of = {generation.id: found}, of
        self._good_until = time.monotonic() + max(GOOD_FOR_SECONDS, GOOD_FOR * took)
        return found

    def _state_of(self, index: VectorIndex) -> _State | None:
        """Return what differs after each write of the index or the database; None: unknown."""
        written, committed = index.version, self._db.version()
        return None if written is None or committed is None else (index, written, committed)

    def _count(self, generation: Generation, index: VectorIndex) -> Coverage:
        several = bool(generation.most_images)  # then a product has more points than one
        points = index.count(several=several)
        with self._db.read() as session:
            products, embedded = _products(session, generation.id)
        return Coverage(points=points, products=products, embedded=embedded)


def _products(session: Session, generation_id: int) -> tuple[int, int]:
    """Count the products that can be in the index, and those whose vector is known."""
    hopeless = and_(
        IndexEntry.due_at.is_(None),
        IndexEntry.last_error.is_not(None),
        IndexEntry.embedded_digest.is_(None),
    )
    row = session.execute(
        select(func.count(case((hopeless, None), else_=1)), func.count(IndexEntry.embedded_digest))
        .select_from(Product)
        .outerjoin(IndexEntry, of_product(generation_id))
        .where(Product.removed_at.is_(None))
    ).one()
    return row[0], row[1]
