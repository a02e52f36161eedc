"""API keys: made, checked, listed, revoked. A key is shown once; only its digest is kept.

A key has the form `lk_<12 hex digits>_<64 hex digits>`. Everything before the last underscore is
its prefix, which is public and names the key in lists and logs. The rest is 256 bits from
`secrets`.

The digest is plain SHA-256. Passwords need a slow, salted hash, because a thief of the table can
guess what people think up. Nobody can guess 256 random bits at any speed, and a slow hash would
cost every request as much as it costs the thief.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import ColumnElement, or_, select, update
from sqlalchemy.orm import Session

from backend.access.scope import Scope
from backend.database import clock, locks
from backend.database.locks import Lock
from backend.database.models import ApiKey
from backend.errors import InvalidKey, InvalidKeyRequest

LIVE_PER_NAME: Final = 2
"""An old key and a new one, while a client changes from one to the other."""

USE_RESOLUTION: Final = timedelta(minutes=10)
"""How exact `last_used_at` is: it is written at most once in this time."""

NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
UNUSABLE: Final = (
    "the API key is unknown, revoked or expired; `lookalike keys list` shows the keys that can "
    "be used"
)
_TOKEN: Final = re.compile(r"(lk_[0-9a-f]{12})_[0-9a-f]{64}")


@dataclass(frozen=True, kw_only=True)
class KeyInfo:
    """What lists and logs may show of a key."""

    id: int
    name: str
    prefix: str
    scope: Scope
    created_at: datetime
    last_used_at: datetime | None
    expires_at: datetime | None
    revoked_at: datetime | None
    state: str  # `live`, `revoked` or `expired`, by the clock of the database


@dataclass(frozen=True, kw_only=True)
class NewKey:
    """A new key, and the token that its holder sends. The token is shown only once."""

    key: KeyInfo
    token: str = field(repr=False)


def create(
    session: Session, name: str, *, scope: Scope, expires_at: datetime | None = None
) -> NewKey:
    """Make a key for the client called `name`.

    Raises InvalidKeyRequest for a malformed name, an expiry in the past, and where the name has
    two live keys already.
    """
    if not NAME.fullmatch(name):
        raise InvalidKeyRequest(
            f"{name!r} is no name: it may have up to 64 letters, digits, dots, hyphens and "
            "underscores"
        )
    if expires_at is not None and expires_at <= clock.now(session):
        raise InvalidKeyRequest("the key would have expired already")
    _refuse_third_key(session, name)
    prefix = f"lk_{secrets.token_hex(6)}"
    token = f"{prefix}_{secrets.token_hex(32)}"
    row = ApiKey(name=name, prefix=prefix, digest=digest(token), scope=scope, expires_at=expires_at)
    session.add(row)
    session.flush()
    return NewKey(key=_read(row, clock.now(session)), token=token)


def _refuse_third_key(session: Session, name: str) -> None:
    """Raise InvalidKeyRequest if the name has LIVE_PER_NAME live keys already."""
    locks.hold(session, Lock.API_KEYS)
    live = [key.prefix for key in list_keys(session) if key.name == name]
    if len(live) >= LIVE_PER_NAME:
        raise InvalidKeyRequest(
            f"{name!r} has {len(live)} live keys already ({', '.join(live)}): the old one and the "
            "new one. Revoke the one that is no longer used: `lookalike keys revoke PREFIX`"
        )


def check(session: Session, token: str) -> KeyInfo:
    """Return the live key that a client has sent.

    Raises InvalidKey; its context holds `prefix` and `state` of a revoked or expired key.
    """
    shape = _TOKEN.fullmatch(token)
    row = _find(session, shape[1]) if shape else None
    if row is None or not hmac.compare_digest(row.digest, digest(token)):
        raise InvalidKey(UNUSABLE)
    key = _read(row, clock.now(session))
    if key.state != "live":
        raise InvalidKey(UNUSABLE, prefix=key.prefix, state=key.state)
    return key


def revoke(session: Session, prefix: str) -> KeyInfo:
    """Make the key with this prefix invalid for ever.

    Raises InvalidKeyRequest if there is no such key, or if it was revoked before.
    """
    row = _find(session, prefix)
    if row is None:  # the message does not repeat `prefix`: it may be a whole key
        raise InvalidKeyRequest("no key has this prefix; `lookalike keys list` shows them")
    if row.revoked_at:
        raise InvalidKeyRequest(f"the key {row.prefix} was revoked before")
    row.revoked_at = now = clock.now(session)
    session.flush()
    return _read(row, now)


def list_keys(session: Session, *, ended: bool = False) -> list[KeyInfo]:
    """Return the live keys by name and age; with `ended` the revoked and expired ones too."""
    rows = select(ApiKey).order_by(ApiKey.name, ApiKey.id)
    now = clock.now(session)
    found = session.scalars(rows if ended else rows.where(_is_live(now)))
    return [_read(row, now) for row in found]


def is_any_live(session: Session) -> bool:
    """Tell whether any key can be used."""
    return (
        session.scalar(select(ApiKey.id).where(_is_live(clock.now(session))).limit(1)) is not None
    )


def live_by_digest(session: Session) -> dict[str, KeyInfo]:
    """Return all live keys by their digests."""
    now = clock.now(session)
    live = session.scalars(select(ApiKey).where(_is_live(now)))
    return {row.digest: _read(row, now) for row in live}


def digest_of_live(session: Session, prefix: str) -> str:
    """Return the digest of the live key with this prefix; raises InvalidKey."""
    digests = select(ApiKey.digest).where(ApiKey.prefix == prefix, _is_live(clock.now(session)))
    if (found := session.scalar(digests)) is None:
        raise InvalidKey
    return found


def record_use(session: Session, id: int) -> None:
    """Write that a key is in use, at most once in USE_RESOLUTION."""
    now = clock.now(session)
    stale = or_(ApiKey.last_used_at.is_(None), ApiKey.last_used_at < now - USE_RESOLUTION)
    session.execute(update(ApiKey).where(ApiKey.id == id, stale).values(last_used_at=now))


def digest(token: str) -> str:
    """Return the SHA-256 of a key, in hex."""
    return hashlib.sha256(token.encode()).hexdigest()


def _find(session: Session, prefix: str) -> ApiKey | None:
    return session.scalar(select(ApiKey).where(ApiKey.prefix == prefix))


def _is_live(now: datetime) -> ColumnElement[bool]:
    unexpired = or_(ApiKey.expires_at.is_(None), ApiKey.expires_at > now)
    return ApiKey.revoked_at.is_(None) & unexpired


def _read(row: ApiKey, now: datetime) -> KeyInfo:
    is_over = row.expires_at is not None and row.expires_at <= now
    state = "revoked" if row.revoked_at else "expired" if is_over else "live"
    names = ("id", "name", "prefix", "created_at", "last_used_at", "expires_at", "revoked_at")
    known = {name: getattr(row, name) for name in names}
    return KeyInfo(scope=Scope(row.scope), state=state, **known)
