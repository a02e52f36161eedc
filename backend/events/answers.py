"""Answers with recommendations, kept for a day: to be shown again, and to tell why what was listed.

They are written a moment later by a thread, many in one transaction, so that no answer waits. What
a kill takes with it are the answers of that moment; events that name them count as `unknown`.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final, cast

import structlog
from sqlalchemy import ColumnElement, CursorResult, delete, or_, select
from sqlalchemy.orm import Session

from backend.database import clock
from backend.database.engine import Database
from backend.database.failures import why
from backend.database.models import ListedAnswer, ProductPopularity
from backend.database.upsert import upsert
from backend.events import outcomes
from backend.events.decay import day_of
from backend.metrics import instruments
from backend.own_threads import start_thread

log = structlog.get_logger(__name__)

KEPT: Final = timedelta(hours=24)
MOST_WAITING: Final = 5000
"""Answers in memory. Where the database is slower than the answers, further ones are dropped."""

AT_ONCE: Final = 500
PAUSE_SECONDS: Final = 0.25
COLD_DAYS: Final = 90
LONGEST_ID: Final = 64


class ListName(StrEnum):
    """Which list an answer is."""

    USER = "user"
    VISIT = "visit"  # by a session or by examples
    TOGETHER = "together"
    TRENDING = "trending"
    NEW = "new"
    SIMILAR = "similar"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class ListedItem:
    """A product of an answer. `because` are {"sku", "share"}."""

    product_id: int
    sku: str
    score: float
    reason: str
    because: Sequence[dict[str, Any]] = ()


@dataclass(frozen=True, kw_only=True)
class GivenAnswer:
    """An answer as it was given. `question` is what was asked, as JSON."""

    id: str
    list_name: ListName
    generation_id: int
    items: Sequence[ListedItem]
    question: dict[str, Any]
    shopper: str | None = None
    session: str | None = None
    placement: str | None = None
    experiment: str | None = None
    arm: str | None = None


class AnswerLog:
    """Takes answers and writes them later. Safe to call from several threads.

    `most` is how many answers the database keeps; with 0, none is taken.
    """

    def __init__(self, db: Database, *, most: int) -> None:
        self._db, self._most = db, most
        self._waiting: deque[GivenAnswer] = deque()
        self._writing, self._starting = threading.Lock(), threading.Lock()
        self._asked, self._closed = threading.Event(), threading.Event()
        self._thread: threading.Thread | None = None

    def note(self, answer: GivenAnswer) -> None:
        """Take an answer. It never waits and never fails; what is too much is counted."""
        if not self._most or self._closed.is_set():
            return
        if self._thread is None:
            with self._starting:
                if self._thread is None:
                    self._thread = start_thread(self._run, name="answers")
        if len(self._waiting) >= MOST_WAITING:
            instruments.UNLOGGED_ANSWERS.inc()
        else:
            self._waiting.append(answer)
        self._asked.set()

    def flush(self) -> None:
        """Write what was taken so far. What the database refuses is dropped and counted."""
        with self._writing:
            while part := self._taken():
                try:
                    self._db.write(lambda session, it=part: store(session, it))  # type: ignore[misc]
                except Exception as error:  # noqa: BLE001  (a thread of its own: nobody else tells)
                    instruments.UNLOGGED_ANSWERS.inc(len(part))
                    log.warning("recommendations are not logged", error=why(error))
                    return

    def close(self) -> None:
        """Write what is left, and take no more."""
        self._closed.set()
        self._asked.set()
        if self._thread is not None:
            self._thread.join(timeout=5)
        else:  # nothing was taken, or the host has refused the thread
            self.flush()

    def _taken(self) -> list[GivenAnswer]:
        return [self._waiting.popleft() for _ in range(min(AT_ONCE, len(self._waiting)))]

    def _run(self) -> None:
        while not self._closed.is_set():
            self._asked.wait()
            self._closed.wait(PAUSE_SECONDS)  # more answers come meanwhile
            self._asked.clear()
            self.flush()


def store(session: Session, answers: Sequence[GivenAnswer]) -> None:
    """Store answers, and count what they list. Of two with one id, the later one stays."""
    now = clock.now(session)
    known = _known(session, {it.product_id for each in answers for it in each.items}, now)
    rows = [_row(answer, known, now) for answer in answers]
    newest = {row["id"]: row for row in rows}
    insert = upsert(session, ListedAnswer)
    replaced = {name: insert.excluded[name] for name in rows[0] if name != "id"}
    session.execute(
        insert.on_conflict_do_update(index_elements=["id"], set_=replaced),
        [newest[id_] for id_ in sorted(newest)],
    )
    outcomes.add_listed(session, rows, day=day_of(now))


def find(session: Session, id_: str) -> ListedAnswer | None:
    """Return an answer of the last day."""
    return session.get(ListedAnswer, id_)


def listed_for(
    session: Session, user: str, visits: Collection[str], *, after: str, limit: int
) -> list[ListedAnswer]:
    """Return the answers for a shopper and for their sessions whose ids follow one, in order."""
    mine = _made_for(user, visits), ListedAnswer.id > after
    rows = select(ListedAnswer).where(*mine).order_by(ListedAnswer.id).limit(limit)
    return list(session.scalars(rows))


def forget(session: Session, user: str, visits: Collection[str]) -> None:
    """Delete the answers for a shopper and for their sessions."""
    session.execute(delete(ListedAnswer).where(_made_for(user, visits)))


def _made_for(user: str, visits: Collection[str]) -> ColumnElement[bool]:
    others = ListedAnswer.shopper.is_(None) | (ListedAnswer.shopper == user)
    return or_(ListedAnswer.shopper == user, ListedAnswer.session.in_(visits) & others)


def delete_old(session: Session, *, most: int, limit: int = 10_000) -> int:
    """Delete some of the answers that are older than a day, or more than `most`; return how many.

    Of equally old ones beyond `most`, some more may go or stay.
    """
    oldest = clock.now(session) - KEPT
    last = session.scalar(
        select(ListedAnswer.at).order_by(ListedAnswer.at.desc()).offset(most).limit(1)
    )
    if last is not None:
        oldest = max(oldest, last)
    old = select(ListedAnswer.id).where(ListedAnswer.at <= oldest).limit(limit)
    result = session.execute(delete(ListedAnswer).where(ListedAnswer.id.in_(old)))
    return cast("CursorResult[Any]", result).rowcount


def _known(session: Session, products: Collection[int], now: datetime) -> set[int]:
    """Return the products that somebody has done something with lately."""
    rows = session.scalars(
        select(ProductPopularity.product_id).where(
            ProductPopularity.product_id.in_(sorted(products)),
            ProductPopularity.last_day > day_of(now) - COLD_DAYS,
        )
    )
    return set(rows)


def _row(answer: GivenAnswer, known: Collection[int], now: datetime) -> dict[str, Any]:
    return {
        "id": answer.id[:LONGEST_ID],
        "at": now,
        "list_name": answer.list_name.value,
        "generation_id": answer.generation_id,
        "shopper": answer.shopper,
        "session": answer.session,
        "question": answer.question,
        "placement": answer.placement,
        "experiment": answer.experiment,
        "arm": answer.arm,
        "items": [asdict(it) | {"cold": it.product_id not in known} for it in answer.items],
    }
