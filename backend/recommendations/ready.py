"""What the looks of a product tell, kept ready, so that an answer needs no search.

Workers fill it for the products that shoppers do something with, then for the newest ones
(`Together.prepare`). A request that finds nothing computes it, and a thread stores it a moment
later. What is older than FRESH is still answered, and the thread computes it anew. Newer products
are compared one by one, so an answer knows them at once. Own pairs of a product are not kept here:
an answer always reads the present ones.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Any, Final, cast

import structlog
from sqlalchemy import CursorResult, Select, Table, bindparam, delete, func, select
from sqlalchemy.orm import Session

from backend.database.engine import Database
from backend.database.failures import why
from backend.database.models import (
    Generation,
    IndexEntry,
    Product,
    ProductPartners,
    ProductPopularity,
    ReadyRelations,
    utcnow,
)
from backend.database.reader import Reader
from backend.database.upsert import upsert
from backend.events.partners import ROW
from backend.own_threads import start_thread
from backend.recommendations import pairs
from backend.recommendations.pairs import Partners
from backend.recommendations.relations import Relations
from backend.vectors import Vector

log = structlog.get_logger(__name__)

FRESH: Final = timedelta(seconds=60)
KEPT: Final = timedelta(days=7)
MOST_KEPT: Final = 20_000
"""Products of which something is kept, about 6 KB each: those that were asked for last."""

MOST_WAITING: Final = 1000
REST: Final = 4.0
"""After each product the thread waits this many times as long as it has taken."""

_READY: Final = cast("Table", ReadyRelations.__table__)
_PRODUCTS: Final = cast("Table", Product.__table__)
_PARTNERS: Final = cast("Table", ProductPartners.__table__)


@dataclass(frozen=True)
class PreparedRelations:
    """What is kept of a product, and whether it is to be computed anew.

    Products with an id above `newest` were not known then, and `has_newer` tells whether there are
    any.
    """

    relations: Relations
    newest: int
    has_newer: bool
    is_fresh: bool


@dataclass(frozen=True)
class WantedRelations:
    """A product whose relations are wanted in a generation; `relations` if they are known."""

    product_id: int
    generation: Generation
    vector: Vector
    relations: Relations | None = None


def read(
    connection: Reader, generation_id: int, product_id: int, *, now: datetime
) -> tuple[Partners, PreparedRelations | None]:
    """Return the partners of a product, and what is kept of it, by one statement."""
    given = {
        "generation_id": generation_id,
        "product_id": product_id,
        "bytes": pairs.MOST * ROW.itemsize,
    }
    [row] = connection.rows(_kept(), given)
    own = _own(connection, product_id, row, now)
    if row.ready is None:
        return own, None
    kept = PreparedRelations(
        Relations.unpack(row.ready),
        newest=row.newest_product,
        has_newer=row.newest is not None and row.newest > row.newest_product,
        is_fresh=abs(utcnow() - row.made_at) < FRESH,
    )
    return own, kept


def _own(connection: Reader, product_id: int, row: Any, now: datetime) -> Partners:
    if row.has_former:
        return pairs.partners_of(connection, product_id, now=now)
    if row.packed is None:
        return {}
    own = pairs.read_packed([product_id], [row.packed], now=now)
    return dict(zip(own.other.tolist(), own.times.tolist(), strict=True))


@cache
def _kept() -> Select[Any]:
    former = pairs.has_former().subquery()
    newest = select(func.max(_PRODUCTS.c.id)).scalar_subquery().label("newest")
    is_own = _PARTNERS.c.product_id == bindparam("product_id")
    is_kept = (_READY.c.generation_id == bindparam("generation_id")) & (
        _READY.c.product_id == bindparam("product_id")
    )
    kept = (_READY.c.made_at, _READY.c.newest_product, _READY.c.packed.label("ready"), newest)
    source = former.outerjoin(_PARTNERS, is_own).outerjoin(_READY, is_kept)
    return select(former.c.has_former, pairs.packed_columns()[1], *kept).select_from(source)


def missing(session: Session, generation_id: int, *, limit: int) -> list[tuple[int, str]]:
    """Return (product id, image digest) of products with a vector of which nothing is kept.

    Popular ones come first, then, in half of the room, the newest: their looks tell most. None is
    returned where MOST_KEPT are kept already, or no shopper has done anything yet.
    """
    kept = session.scalar(select(func.count()).select_from(_READY)) or 0
    if kept >= MOST_KEPT:
        return []
    of_product = (_READY.c.product_id == IndexEntry.product_id) & (
        _READY.c.generation_id == generation_id
    )
    unready = (
        select(IndexEntry.product_id, IndexEntry.embedded_digest)
        .outerjoin(_READY, of_product)
        .where(
            IndexEntry.generation_id == generation_id,
            IndexEntry.embedded_digest.is_not(None),
            _READY.c.product_id.is_(None),
        )
        .limit(limit)
    )
    is_popular = ProductPopularity.product_id == IndexEntry.product_id
    popular = unready.join(ProductPopularity, is_popular)
    rows = session.execute(popular.order_by(ProductPopularity.popular.desc())).all()
    if not rows and kept < MOST_KEPT // 2 and _has_popular(session):
        rows = session.execute(unready.order_by(IndexEntry.product_id.desc())).all()
    return [(row[0], str(row[1])) for row in rows]


def _has_popular(session: Session) -> bool:
    return session.scalar(select(ProductPopularity.product_id).limit(1)) is not None


def newest_product(session: Session) -> int:
    """Return the largest id of a product."""
    return session.scalar(select(func.max(_PRODUCTS.c.id))) or 0


def store(session: Session, asked: WantedRelations, relations: Relations, *, newest: int) -> None:
    """Keep the relations of a product; one that was deleted meanwhile is left out."""
    if session.scalar(select(Product.id).where(Product.id == asked.product_id)) is None:
        return
    insert = upsert(session, _READY)
    values: Mapping[str, Any] = {
        "made_at": utcnow(),
        "newest_product": newest,
        "packed": relations.pack(),
    }
    keys = {"generation_id": asked.generation.id, "product_id": asked.product_id}
    session.execute(
        insert.on_conflict_do_update(index_elements=list(keys), set_=values), {**keys, **values}
    )


def delete_old(session: Session, *, most: int = MOST_KEPT, limit: int = 1000) -> int:
    """Delete some of what was not asked for lately; return how many products it was."""
    oldest = utcnow() - KEPT
    last = session.scalar(
        select(_READY.c.made_at).order_by(_READY.c.made_at.desc()).offset(most).limit(1)
    )
    if last is not None:
        oldest = max(oldest, last)
    old = select(_READY.c.generation_id, _READY.c.product_id).where(_READY.c.made_at <= oldest)
    gone = 0
    for generation_id, product_id in session.execute(old.limit(limit)).all():
        where = (_READY.c.generation_id == generation_id) & (_READY.c.product_id == product_id)
        gone += cast("CursorResult[Any]", session.execute(delete(_READY).where(where))).rowcount
    return gone


class Keeper:
    """Stores relations, and computes those anew that are old. Safe to call from several threads."""

    def __init__(self, db: Database, compute: Callable[[WantedRelations], Relations]) -> None:
        self._db, self._compute = db, compute
        self._waiting: dict[tuple[int, int], WantedRelations] = {}
        self._lock, self._working = threading.Lock(), threading.Lock()
        self._asked, self._closed = threading.Event(), threading.Event()
        self._thread: threading.Thread | None = None

    def note(self, asked: WantedRelations) -> None:
        """Take a product. It never waits and never fails; what is too much is dropped."""
        with self._lock:
            if self._closed.is_set():
                return
            if self._thread is None:
                self._thread = start_thread(self._run, name="relations")
            if len(self._waiting) < MOST_WAITING:
                self._waiting[asked.generation.id, asked.product_id] = asked
        self._asked.set()

    def flush(self) -> None:
        """Store all that was taken so far."""
        while self._keep_next():
            pass

    def close(self) -> None:
        """Take no more, and end."""
        self._closed.set()
        self._asked.set()
        if self._thread is not None:
            self._thread.join(timeout=5)

    def _run(self) -> None:
        while not self._closed.is_set():
            self._asked.wait()
            self._asked.clear()
            began = time.monotonic()
            while not self._closed.is_set() and self._keep_next():
                self._closed.wait(REST * (time.monotonic() - began))
                began = time.monotonic()

    def _keep_next(self) -> bool:
        """Store one product; return whether there was one."""
        with self._working:
            with self._lock:
                if not self._waiting:
                    return False
                asked = self._waiting.pop(next(iter(self._waiting)))
            try:
                with self._db.read() as session:
                    newest = newest_product(session)
                relations = asked.relations or self._compute(asked)
                self._db.write(lambda it: store(it, asked, relations, newest=newest))
            except Exception as error:  # noqa: BLE001  (a thread of its own: nobody else tells)
                log.warning("what goes together cannot be stored", error=why(error))
            return True
