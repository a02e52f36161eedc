"""PostgreSQL's advisory locks: all of them, so that no two share a number.

A lock is held until the transaction ends. On SQLite these functions do nothing: there only one
transaction can write at a time.
"""

from __future__ import annotations

from enum import IntEnum

from sqlalchemy import Connection, text
from sqlalchemy.orm import Session

from backend.database.dialect import is_postgresql


class Lock(IntEnum):
    """What is locked. The numbers are part of the database: running hosts must agree on them."""

    GENERATIONS = 7_305_801_234  # writers of products share it; a change of generations holds it
    MIGRATION = 7_305_801_235  # two hosts may start, and migrate, at once
    API_KEYS = 7_305_801_236  # two commands may count a name's keys at once
    EVENTS = 7_305_801_237  # one process counts new events at a time
    RULES = 7_305_801_238  # changes of rules are committed in the order of their numbers
    NAMED = 7_305_801_239  # two clients may put the same placement or experiment for the first time


def hold(database: Session | Connection, lock: Lock) -> None:
    """Wait until no other transaction holds or shares a lock, then hold it exclusively."""
    _lock(database, "pg_advisory_xact_lock", lock)


def share(database: Session | Connection, lock: Lock) -> None:
    """Wait until no other transaction holds a lock exclusively, then share it."""
    _lock(database, "pg_advisory_xact_lock_shared", lock)


def _lock(database: Session | Connection, function: str, lock: Lock) -> None:
    if is_postgresql(database):
        database.execute(text(f"SELECT {function}(:key)"), {"key": lock.value})
