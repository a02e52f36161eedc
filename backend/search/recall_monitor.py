"""Compare a sample of the searches with exact search.

If a graph misses neighbours under a filter, no error shows it. So a sample of the searches is
repeated in the background, in the same mode and exactly, and the recall is summed by shape of
filter. The request itself only adds its search to a list.
"""

from __future__ import annotations

import random
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import structlog

from backend.database.engine import Database
from backend.database.models import Generation
from backend.errors import LookalikeError
from backend.filters import Schema, Where
from backend.filters.shape import shape
from backend.search import filter_recall
from backend.search.filter_recall import ShapeKey, Sums
from backend.search.nearest_products import nearest_products
from backend.search.recall import NEIGHBOURS, recall
from backend.vectors import Hit, SearchMode, VectorIndex

log = structlog.get_logger(__name__)

WAITING: Final = 32
"""Samples kept in memory; further ones are dropped."""

SAVE_SECONDS: Final = 30.0
"""Each time is a commit, after which what was read of products has to be read again."""

ENOUGH: Final = 20
REST: Final = 400
"""After a comparison there is none for so many times as long as it took. An exact search of an
embedded index of 40,000 takes as long as twenty queries, which all wait for it meanwhile: with 100,
one query in a hundred would."""

LOW: Final = 0.9
"""Mean recall over ENOUGH comparisons of one process, below which a warning is logged."""


@dataclass(frozen=True, kw_only=True)
class Search:
    """A search, with all that is needed to repeat it."""

    generation: Generation
    vector: npt.NDArray[np.float32]
    where: Where
    exclude: tuple[int, ...]  # product ids
    mode: SearchMode


class RecallMonitor:
    """Counts searches, compares a sample with exact search, and sums by shape of filter.

    `rate` is the share of searches that are compared. Safe to call from several threads.
    """

    def __init__(
        self,
        db: Database,
        *,
        schema: Schema,
        rate: float,
        rest: float = REST,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._db = db
        self._schema = schema
        self._rate = rate
        self._rest = rest
        self._rests_until = 0.0
        self._chance = chance
        self._lock = threading.Lock()
        self._waiting: deque[Search] = deque(maxlen=WAITING)
        self._unsaved: dict[ShapeKey, Sums] = {}
        self._noticed: dict[ShapeKey, int] = {}  # queries that are not in `_unsaved` yet
        self._recent: dict[ShapeKey, Sums] = {}  # of fewer than ENOUGH comparisons
        self._saved = time.monotonic()
        self._last_shape: tuple[Where | None, str] = (None, "")  # that of the filter looked at last

    def notice(self, search: Search) -> ShapeKey:
        """Count a search and perhaps keep it for comparison; return the key it is counted under."""
        key = self._key(search)
        with self._lock:
            self._noticed[key] = self._noticed.get(key, 0) + 1
            if len(self._noticed) > filter_recall.MOST_SHAPES:
                self._add_noticed()
            sampled = search.mode is not SearchMode.EXACT and self._chance() < self._rate
            if sampled and len(self._waiting) < WAITING:
                self._waiting.append(search)
        return key

    def compare(self, index_of: Callable[[Generation], VectorIndex]) -> bool:
        """Compare one waiting search, if there is any; save the counts every SAVE_SECONDS.

        Returns whether there was one. A search whose index does not answer is dropped. Comparing
        takes one part of the time in `rest` and one, so that others are answered meanwhile.
        """
        search = self._next()
        if search is not None:
            began = time.monotonic()
            try:
                self._add_comparison(search, recall_of(index_of(search.generation), search))
            except LookalikeError as error:
                log.debug("a search could not be compared", error=error.message)
            ended = time.monotonic()
            self._rests_until = ended + self._rest * (ended - began)
        if time.monotonic() - self._saved >= SAVE_SECONDS:
            self.save()
        return search is not None

    def _next(self) -> Search | None:
        """Take a waiting search, unless it is too early for one."""
        with self._lock:
            is_due = self._waiting and time.monotonic() >= self._rests_until
            return self._waiting.popleft() if is_due else None

    def save(self) -> None:
        """Add the counts to the totals in SQL."""
        with self._lock:
            self._add_noticed()
            sums, self._unsaved = self._unsaved, {}
            self._saved = time.monotonic()
        if not sums:
            return
        try:
            self._db.write(lambda session: filter_recall.add_sums(session, sums))
        except Exception:  # also of the host: the counts are kept for the next time
            with self._lock:
                for key, more in sums.items():
                    self._add(key, more)
            raise

    def _add_comparison(self, search: Search, value: float) -> None:
        key, one = self._key(search), Sums(compared=1, recall=value)
        with self._lock:
            self._add(key, one)
            recent = self._recent.pop(key, Sums()) + one
            if recent.compared < ENOUGH and len(self._recent) < filter_recall.MOST_SHAPES:
                self._recent[key] = recent
        if recent.compared >= ENOUGH and recent.recall < LOW * recent.compared:
            mean = round(recent.recall / recent.compared, 3)
            log.warning("filtered recall is low", filter=key.shape, mode=key.mode, recall=mean)

    def _add_noticed(self) -> None:
        noticed, self._noticed = self._noticed, {}
        for key, count in noticed.items():
            self._add(key, Sums(queries=count))

    def _add(self, key: ShapeKey, sums: Sums) -> None:
        """Add up in memory; the number of shapes is bounded as it is in SQL."""
        if key not in self._unsaved and len(self._unsaved) >= filter_recall.MOST_SHAPES:
            key = ShapeKey(key.generation_id, filter_recall.OTHER, key.mode)
        self._unsaved[key] = self._unsaved.get(key, Sums()) + sums

    def _key(self, search: Search) -> ShapeKey:
        where = search.where
        last, found = self._last_shape
        if last is not where:
            found = shape(where, self._schema)
            self._last_shape = where, found
        return ShapeKey(search.generation.id, found, search.mode._value_)


def recall_of(index: VectorIndex, search: Search) -> float:
    """Search again now, in the search's mode and exactly, and return the recall@10."""

    def ask(mode: SearchMode) -> list[Hit]:
        return nearest_products(
            index,
            search.vector,
            limit=NEIGHBOURS,
            most_images=search.generation.most_images,
            where=search.where,
            exclude=search.exclude,
            mode=mode,
            payloads=False,
        )

    exact = ask(SearchMode.EXACT)
    return recall(ask(search.mode), exact) if exact else 1.0
