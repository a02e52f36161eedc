"""Jobs, the processes that work, the clock that they go by, and samples of the queue."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Float, ForeignKey, Integer, LargeBinary, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from backend.database.models.declaring import Base, BigKey, utcnow


class Job(Base):
    """An operator's long task. Any process may insert it; one that has what it needs runs it."""

    __tablename__ = "jobs"

    id: Mapped[int] = mapped_column(BigKey, primary_key=True)
    verb: Mapped[str] = mapped_column(String(64))
    arguments: Mapped[dict[str, Any]] = mapped_column(default=dict)
    state: Mapped[str] = mapped_column(String(16), default="queued", index=True)
    claim: Mapped[int] = mapped_column(BigInteger, default=0, server_default="0")  # newest runner's
    done: Mapped[int] = mapped_column(BigInteger, default=0)
    total: Mapped[int | None] = mapped_column(BigInteger)
    rate: Mapped[float | None] = mapped_column(Float)  # a second, by the last reports
    result: Mapped[dict[str, Any] | None]
    error: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(default=utcnow)
    started_at: Mapped[datetime | None]
    heartbeat_at: Mapped[datetime | None]
    wake_at: Mapped[datetime | None]  # when to look again at a job that waits for the queue
    finished_at: Mapped[datetime | None]
    cancelled_at: Mapped[datetime | None]  # when an operator asked for its end


class JobInput(Base):
    """A part of what a client has sent for a job; kept until the job ends."""

    __tablename__ = "job_inputs"

    job_id: Mapped[int] = mapped_column(
        BigKey, ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True
    )
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    content: Mapped[bytes] = mapped_column(LargeBinary)  # packed by zlib


class WorkerRow(Base):
    """A process that works on queue or jobs, and when it was last seen."""

    __tablename__ = "workers"

    name: Mapped[str] = mapped_column(String(255), primary_key=True)  # host:process id
    embeds: Mapped[bool]
    applies: Mapped[bool]  # and runs jobs
    skew_seconds: Mapped[float] = mapped_column(Float)  # its host's clock less the database's
    seen_at: Mapped[datetime]


class Cursor(Base):
    """How far a repeated task, such as reconcile, has come in the catalogue."""

    __tablename__ = "cursors"

    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    position: Mapped[int] = mapped_column(BigInteger, default=0)
    updated_at: Mapped[datetime] = mapped_column(default=utcnow, onupdate=utcnow)


class ClockRow(Base):
    """The clock of the database: one row; `backend.database.clock` reads and writes it."""

    __tablename__ = "clock"

    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    boot: Mapped[str | None] = mapped_column(String(64))  # SQLite: which start of the host
    origin: Mapped[datetime | None]  # SQLite: what time it was then
    ahead_seconds: Mapped[float] = mapped_column(Float, default=0.0, server_default="0")
    seen_at: Mapped[datetime | None]  # PostgreSQL: a time that was reached


class QueueSample(Base):
    """How much waited in one minute, for charts; `backend.queue.history` keeps those of a day."""

    __tablename__ = "queue_samples"

    minute: Mapped[int] = mapped_column(  # since 1970, by the clock of the database
        BigInteger, primary_key=True, autoincrement=False
    )
    generation_id: Mapped[int] = mapped_column(BigInteger)  # the active one
    waiting: Mapped[int] = mapped_column(BigInteger)
    oldest_seconds: Mapped[float] = mapped_column(Float)  # how long the oldest had waited
    indexed: Mapped[int] = mapped_column(BigInteger)
    quarantined: Mapped[int] = mapped_column(BigInteger)
