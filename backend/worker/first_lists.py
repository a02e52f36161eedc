"""Lists of similar products that are made ahead of the first shopper's.

The first list of a process compiles its statements and opens a connection. The next ones read
vectors that no cache of the processor holds: until some twenty lists have been made, each takes two
to five times as long as later ones.
"""

from __future__ import annotations

import time
from contextlib import suppress
from typing import Final

import structlog
from sqlalchemy import func, select

from backend.database.engine import Database
from backend.database.failures import why
from backend.database.models import Product
from backend.errors import LookalikeError
from backend.search.query import Query
from backend.search.similar import SimilarProducts
from backend.worker.threads import PreparingThread

log = structlog.get_logger(__name__)

LISTS: Final = 32
"""So many lists are made; after them, further ones take no less time."""

SECONDS: Final = 1.0
"""None is begun after that: a large index without a graph compares all vectors for each."""


class FirstListsThread(PreparingThread):
    """Makes lists of products from all parts of the catalogue, as shoppers ask for them.

    Nothing waits for this thread, and its lists are not counted. What goes wrong in it is only
    logged: a query says the same.
    """

    def __init__(self, db: Database, similar: SimilarProducts) -> None:
        self._db = db
        self._similar = similar
        super().__init__(self._run, name="first-lists")

    def _run(self) -> None:
        end = time.monotonic() + SECONDS
        try:
            for sku in some_skus(self._db):
                if time.monotonic() > end:
                    break
                with suppress(LookalikeError):  # such as of a product without a vector
                    self._similar.to_product(sku, Query())
        except Exception as error:  # noqa: BLE001  (or the thread would end with a traceback)
            log.info("no lists could be made ahead of the first query", error=why(error))


def some_skus(db: Database) -> list[str]:
    """Return up to LISTS products whose ids are about evenly spaced."""
    with db.read() as session:
        first = session.scalar(select(func.min(Product.id)))
        last = session.scalar(select(func.max(Product.id)))
        if first is None or last is None:
            return []
        found: dict[str, None] = {}
        for start in range(first, last + 1, -(-(last + 1 - first) // LISTS)):
            following = select(Product.sku).where(Product.id >= start, Product.removed_at.is_(None))
            found |= dict.fromkeys(session.scalars(following.order_by(Product.id).limit(1)))
        return list(found)
