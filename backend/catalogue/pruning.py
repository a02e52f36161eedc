"""Remove the products that a feed does not hold, unless they are more than a limit."""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Final, Self

from sqlalchemy import func, select

from backend import queue
from backend.catalogue import products
from backend.catalogue.import_memory import IdSet
from backend.database.engine import Database
from backend.database.models import Product
from backend.errors import ConfigurationError

OPTION: Final = "--prune-at-most"
_LIMIT: Final = re.compile(r"(\d{1,3}(?:\.\d{1,6})?)\s*%|(\d{1,12})")


@dataclass(frozen=True)
class PruneLimit:
    """How many products one import may remove: a share of the catalogue, or a number."""

    text: str = "20%"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `20%` or `500`. Raises ConfigurationError for anything else."""
        found = _LIMIT.fullmatch(text.strip())
        if not found or (found[1] and Fraction(found[1]) > 100):
            raise ConfigurationError(
                f"{OPTION} must be a share such as 20% or a number of products, not {text!r}"
            )
        return cls(text.strip())

    def allows(self, gone: int, *, of: int) -> bool:
        """Tell whether `gone` of so many products may be removed."""
        if self.text.endswith("%"):
            return gone <= of * Fraction(self.text.rstrip("% ")) / 100
        return gone <= int(self.text)


DEFAULT_LIMIT: Final = PruneLimit()


class Pruner:
    """Removes what a feed does not hold, except what was added after this object was made."""

    def __init__(self, db: Database, *, limit: PruneLimit, page: int) -> None:
        self._db = db
        self._limit = limit
        self._size = page
        with db.read() as session:
            self._newest = session.scalar(select(func.max(Product.id))) or 0

    def prune(self, held: IdSet) -> tuple[int, str | None]:
        """Remove all products but those in `held`: return how many, and why none was.

        None is removed where more would go than the limit allows.
        """
        total, gone = 0, array("q")
        for page in self._pages():
            total += len(page)
            gone.extend(number for number in page if number not in held)
        if not self._limit.allows(len(gone), of=total):
            return 0, (
                f"{len(gone):,} of {total:,} products are not in the feed, more than "
                f"{self._limit.text}; {OPTION} changes that"
            )
        return sum(self._remove(ids) for ids in _parts(gone, self._size)), None

    def _pages(self) -> Iterator[Sequence[int]]:
        """Yield the ids of the products that there were at the beginning."""
        after = 0
        while True:
            wanted = (
                select(Product.id)
                .where(Product.id > after, Product.id <= self._newest, Product.removed_at.is_(None))
                .order_by(Product.id)
                .limit(self._size)
            )
            with self._db.read() as session:
                page = session.scalars(wanted).all()
            if not page:
                return
            after = page[-1]
            yield page

    def _remove(self, ids: Sequence[int]) -> int:
        with self._db.read() as session:
            skus = session.scalars(select(Product.sku).where(Product.id.in_(ids))).all()
        removed = self._db.write(
            lambda session: products.remove(session, skus, priority=queue.IMPORT)
        )
        return len(removed)


def _parts(ids: Sequence[int], size: int) -> Iterator[Sequence[int]]:
    return (ids[start : start + size] for start in range(0, len(ids), size))
