"""The keys that one process has checked, so that most requests need no query of the database."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
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
"""How long an answer of the database is used. A revoked key may be accepted for so long."""

MOST_REFUSED: Final = 1000
"""Number of refused keys that are remembered: a client with an old key causes few queries."""


@dataclass(frozen=True)
class LiveKey:
    """A key that is valid, and its digest."""

    key: KeyInfo
    digest: str


Attempt: TypeAlias = Callable[[], AbstractContextManager[None]]
"""A context for the look-up of a key that was never valid here; it may refuse by raising."""


@dataclass(frozen=True)
class _Valid:
    live: LiveKey
    until: float


class KeyCache:
    """Finds valid keys; its answers may be a few seconds old. One per process, for all its threads.

    Keys are stored by their digests. An attacker who measures times can learn only about SHA-256
    digests, which nobody can choose.
    """

    def __init__(
        self, db: Database, *, attempt: Attempt = nullcontext, seconds: float = CACHE_SECONDS
    ) -> None:
        self._db = db
        self._attempt = attempt
        self._seconds = seconds
        self._valid: dict[str, _Valid] = {}  # also those that have to be checked again
        self._refused: dict[str, float] = {}
        self._live: dict[str, KeyInfo] = {}
        self._live_until = 0.0

    def find(self, token: str) -> LiveKey:
        """Return the live key that a client has sent; raises InvalidKey, and what `attempt` raises.

        A key that was valid before is looked up outside `attempt`, and one that `attempt` refuses
        is compared with the live ones. So no client is refused for wrong keys that others have sent
        from the same address, and many of these cause one query now and then.
        """
        digest, now = keys.digest(token), time.monotonic()
        if self._refused.get(digest, 0) > now:
            raise InvalidKey
        valid = self._valid.get(digest)
        if valid and valid.until > now:
            return valid.live
        try:
            with nullcontext() if valid else self._try(digest), self._db.read() as session:
                key = keys.check(session, token)
        except InvalidKey as error:
            log.warning("key refused", **error.context)
            self._refuse(digest, until=now + self._seconds)
            raise
        live = LiveKey(key, digest)
        self._valid[digest] = _Valid(live, until=now + self._seconds)
        self._note_use(key)
        return live

    @contextmanager
    def _try(self, digest: str) -> Iterator[None]:
        """Look a key up inside of `attempt`; if that refuses it, only a live one."""
        with ExitStack() as stack:
            try:
                stack.enter_context(self._attempt())
            except Exception:
                if digest not in self._live_keys():
                    raise
            yield

    def digest_of(self, prefix: str) -> str:
        """Return the digest of the live key with this prefix.

        Raises InvalidKey, and what `attempt` raises: an unknown prefix counts as a wrong key.
        """
        for digest, key in self._live_keys().items():
            if key.prefix == prefix:
                return digest
        with self._attempt(), self._db.read() as session:
            return keys.digest_of_live(session, prefix)

    def live(self, prefix: str) -> LiveKey | None:
        """Return the live key with this prefix, None if there is none. Counts no attempt.

        Only for a prefix that the caller then checks by the digest: it proves nothing.
        """
        for is_last in (False, True):
            for digest, key in self._live_keys().items():
                if key.prefix == prefix:
                    return LiveKey(key, digest)
            if not is_last:
                self._live_until = 0.0  # it may have been made since they were read
        return None

    def _live_keys(self) -> dict[str, KeyInfo]:
        """Return the live keys by digest, as they were at most `seconds` ago."""
        if self._live_until <= time.monotonic():
            with self._db.read() as session:
                self._live = keys.live_by_digest(session)
            self._live_until = time.monotonic() + self._seconds
        return self._live

    def _refuse(self, digest: str, *, until: float) -> None:
        self._valid.pop(digest, None)
        if len(self._refused) >= MOST_REFUSED:
            self._refused.clear()
        self._refused[digest] = until

    def _note_use(self, key: KeyInfo) -> None:
        """Write that the key is in use, unless that was written recently. Only log a failure."""
        if key.last_used_at and utcnow() - key.last_used_at < keys.USE_RESOLUTION:
            return
        try:
            self._db.write(lambda session: keys.record_use(session, key.id))
        except DBAPIError as error:
            log.warning(
                "the last use of a key cannot be stored", prefix=key.prefix, error=str(error.orig)
            )
