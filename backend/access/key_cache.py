"""The keys that one process has seen, so that a request need not ask the database for its own."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Final, TypeAlias

import structlog
from sqlalchemy.exc import DBAPIError

from backend.access import keys
from backend.access.keys import KeyInfo
from backend.database.engine import Database
from backend.database.models import utcnow
from backend.errors import InvalidKey

log = structlog.get_logger(__name__)

CACHE_SECONDS: Final = 5.0
"""How long an answer of the database counts: so long may a revoked key still open the door."""

MOST_REFUSED: Final = 1000
"""Refused keys that are remembered, so that a client with an old key costs no query a request."""

Attempt: TypeAlias = Callable[[], AbstractContextManager[None]]
"""Surrounds the look-up of a key that was never good before. May refuse it, and sees its end."""


@dataclass(frozen=True)
class _Held:
    key: KeyInfo
    until: float


class KeyCache:
    """Finds keys, a few seconds out of date. One per process, shared by its threads.

    Keys are remembered by their digests: what an attacker can time here is the look-up of a
    SHA-256, which they cannot steer.
    """

    def __init__(
        self, db: Database, *, attempt: Attempt = nullcontext, seconds: float = CACHE_SECONDS
    ) -> None:
        self._db = db
        self._attempt = attempt
        self._seconds = seconds
        self._held: dict[str, _Held] = {}  # also those that are to be asked about again
        self._refused: dict[str, float] = {}

    def find(self, token: str) -> KeyInfo:
        """Return the live key that a client has sent; raises InvalidKey, and what `attempt` does.

        A key that was good before is looked up outside `attempt`: others who fail at the same
        address do not lock out who has a key.
        """
        digest, now = keys.digest(token), time.monotonic()
        if self._refused.get(digest, 0) > now:
            raise InvalidKey
        held = self._held.get(digest)
        if held and held.until > now:
            return held.key
        try:
            with nullcontext() if held else self._attempt():
                key = self._look_up(token)
        except InvalidKey as error:
            log.warning("key refused", **error.context)
            self._refuse(digest, until=now + self._seconds)
            raise
        self._held[digest] = _Held(key, until=now + self._seconds)
        self._note_use(key)
        return key

    def _look_up(self, token: str) -> KeyInfo:
        with self._db.read() as session:
            return keys.check(session, token)

    def _refuse(self, digest: str, *, until: float) -> None:
        self._held.pop(digest, None)
        if len(self._refused) >= MOST_REFUSED:
            self._refused.clear()
        self._refused[digest] = until

    def _note_use(self, key: KeyInfo) -> None:
        """Write that the key is in use, now and then. Nobody is refused because that fails."""
        if key.last_used_at and utcnow() - key.last_used_at < keys.USE_RESOLUTION:
            return
        try:
            self._db.write(lambda session: keys.note_use(session, key.id))
        except DBAPIError as error:
            log.warning("use of a key not noted", prefix=key.prefix, error=str(error.orig))
