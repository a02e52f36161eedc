"""What a client has sent for a job, in parts that SQL keeps, packed by zlib, until the job ends.

It lies in SQL, and not beside the images: it is written in the transaction that requests the job,
so none is lost or left over, and whichever process runs the job can read it.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from typing import Final

from sqlalchemy import delete, insert, select
from sqlalchemy.orm import Session

from backend.database.engine import Database
from backend.database.models import Job, JobInput
from backend.jobs.records import ENDED

PART: Final = 1 << 20
"""Bytes of a part, before it is packed."""


def pack(part: bytes) -> bytes:
    """Return a part as it is kept."""
    return zlib.compress(part, 1)


def store(session: Session, job: Job, packed: Iterable[bytes]) -> None:
    """Keep the packed parts of a job's input, within the transaction that requests the job."""
    for number, content in enumerate(packed):
        row = {"job_id": job.id, "number": number, "content": content}
        session.execute(insert(JobInput), row)


def lines(db: Database, job_id: int) -> Iterator[bytes]:
    """Yield the lines of an input, without their ends; one part is in memory at a time."""
    rest = b""
    for part in _parts(db, job_id):
        *whole, rest = (rest + part).split(b"\n")
        yield from whole
    if rest:
        yield rest


def _parts(db: Database, job_id: int) -> Iterator[bytes]:
    number = 0
    while True:
        with db.read() as session:
            row = session.get(JobInput, (job_id, number))
        if row is None:
            return
        yield zlib.decompress(row.content)
        number += 1


def forget_ended(db: Database) -> bool:
    """Delete the inputs of jobs that have ended; return whether there were any."""
    ended = select(JobInput.job_id).join(Job, Job.id == JobInput.job_id)
    with db.read() as session:
        ids = set(session.scalars(ended.where(Job.state.in_(ENDED)).distinct().limit(100)))
    if ids:
        gone = delete(JobInput).where(JobInput.job_id.in_(ids))
        db.write(lambda session: session.execute(gone))
    return bool(ids)
