"""Which attributes there are: names that at least one product has."""

from __future__ import annotations

import time
from collections.abc import Callable
from difflib import get_close_matches
from threading import Lock
from typing import Final

from sqlalchemy import cast, func, select, true
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Session

from backend.database.dialect import is_postgresql
from backend.database.engine import Database
from backend.database.models import Product

MOST: Final = 10_000
"""Names that are kept; where a shop has more, none counts as unknown."""

KEPT_SECONDS: Final = 10.0
"""Reading them looks at every product, which takes a second for some hundred thousand."""

REST: Final = 100
"""Times as long as reading them took."""


def read_names(session: Session) -> frozenset[str]:
    """Read the names of all attributes, at most MOST."""
    if is_postgresql(session):
        names = select(func.jsonb_object_keys(cast(Product.attributes, JSONB)))
    else:
        entry = func.json_each(Product.attributes).table_valued("key")
        names = select(entry.c.key).select_from(Product).join(entry, true())
    wanted = names.where(Product.removed_at.is_(None)).distinct().limit(MOST)
    return frozenset(session.scalars(wanted))


class AttributeNames:
    """The names of the attributes, read again where one is missing. Threads may share it."""

    def __init__(self, db: Database, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._db = db
        self._clock = clock
        self._lock = Lock()
        self._names: frozenset[str] = frozenset()
        self._read_at: float | None = None
        self._took = 0.0

    def has(self, name: str, *, is_urgent: bool = True) -> bool:
        """Tell whether a product has an attribute, by what was read in the last seconds.

        Where it is not urgent, reading takes a hundredth of the time at most.
        """
        with self._lock:
            kept = KEPT_SECONDS if is_urgent else max(KEPT_SECONDS, REST * self._took)
            is_old = self._read_at is None or self._clock() - self._read_at >= kept
            if name not in self._names and is_old:
                began = self._clock()
                with self._db.read() as session:
                    self._names = read_names(session)
                self._read_at = self._clock()
                self._took = self._read_at - began
            return name in self._names or len(self._names) >= MOST

    def nearest(self, name: str) -> list[str]:
        """Return up to three names that are written much like this one, the nearest first."""
        by_lower = {each.lower(): each for each in sorted(self._names)}
        return [by_lower[it] for it in get_close_matches(name.lower(), by_lower, n=3)]
