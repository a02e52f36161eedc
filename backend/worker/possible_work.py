"""What may be due, asked in one statement, and on a SQLite file only after a commit.

Most rounds of a worker find nothing. What it would look for needs a row of some kind, such as an
entry that has a due time, now or later. Where there is no such row, time alone makes nothing due.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import ColumnElement, Select, select

from backend.database.engine import Database
from backend.database.models import (
    ACTIVE,
    Event,
    Feed,
    Generation,
    IndexEntry,
    Job,
    JobInput,
    ProductPair,
)
from backend.events.record import DUE
from backend.jobs.records import ENDED, QUEUED, RUNNING


@dataclass(frozen=True, kw_only=True)
class PossibleWork:
    """For each kind of work, whether a row is there that is due, or may become so in time."""

    queue: bool  # an entry that is to be embedded or applied
    awaited: bool  # an entry whose image is to be looked for again
    jobs: bool  # a job that has not ended
    inputs: bool  # what a client has sent for a job that has ended
    feeds: bool  # a feed that is fetched automatically
    leftovers: bool  # a generation that is not active, and not wholly deleted
    events: bool  # an event that is not counted
    pairs: bool  # a pair that the previous release has stored


class PossibleWorkCache:
    """Keeps what one worker last read of it. Call it from one thread."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._version: int | None = None
        self._last: PossibleWork | None = None

    def begin_round(self) -> None:
        """Forget what is known of a server, where commits of other processes are not noticed."""
        if self._version is None:
            self.forget()

    def forget(self) -> None:
        """Ask again: this process may have made something due."""
        self._last = None

    def now(self) -> PossibleWork:
        """Return which work there may be.

        It counts what is committed to a SQLite file by now, to PostgreSQL since `begin_round`.
        """
        version = self._db.version()  # first: what is committed later changes it
        if self._last is None or version != self._version:
            with self._db.query() as reader:
                (row,) = reader.rows(_ASKED)
            self._last, self._version = PossibleWork(**row._asdict()), version
        return self._last


def _is_there(rows: Select[Any]) -> ColumnElement[bool]:
    """Return whether there is a row. It is looked for in the order of an index, so at its start."""
    return rows.limit(1).scalar_subquery().is_not(None)


_ASKED: Final[Any] = select(
    _is_there(
        select(IndexEntry.product_id)
        .where(IndexEntry.due_at.is_not(None))
        .order_by(IndexEntry.generation_id, IndexEntry.priority, IndexEntry.due_at)
    ).label("queue"),
    _is_there(
        select(IndexEntry.product_id)
        .where(IndexEntry.image_retry_at.is_not(None))
        .order_by(IndexEntry.generation_id, IndexEntry.image_retry_at)
    ).label("awaited"),
    _is_there(select(Job.id).where(Job.state.in_((QUEUED, RUNNING)))).label("jobs"),
    _is_there(
        select(JobInput.job_id).join(Job, Job.id == JobInput.job_id).where(Job.state.in_(ENDED))
    ).label("inputs"),
    _is_there(select(Feed.id).where(Feed.due_at.is_not(None), Feed.paused_at.is_(None))).label(
        "feeds"
    ),
    _is_there(
        select(Generation.id).where(Generation.state != ACTIVE, Generation.dropped_at.is_(None))
    ).label("leftovers"),
    _is_there(select(Event.id).where(Event.pending == DUE).order_by(Event.id)).label("events"),
    _is_there(select(ProductPair.product_id).order_by(ProductPair.product_id)).label("pairs"),
)
