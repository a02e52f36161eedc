"""API keys, requests that are sent again, and secrets that processes share."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import JSON, LargeBinary, String
from sqlalchemy.orm import Mapped, mapped_column

from backend.database.models.declaring import Base, BigKey, utcnow


class ApiKey(Base):
    """A key with which a client authenticates. Only its digest is stored, never the key."""

    __tablename__ = "api_keys"

    id: Mapped[int] = mapped_column(BigKey, primary_key=True)
    name: Mapped[str] = mapped_column(String(64), index=True)  # who holds it
    prefix: Mapped[str] = mapped_column(String(16), unique=True)  # its public part: lk_1f2e3d4c5b6a
    digest: Mapped[str] = mapped_column(String(64))  # sha256 of the whole key, in hex
    scope: Mapped[str] = mapped_column(String(16))
    created_at: Mapped[datetime] = mapped_column(default=utcnow)
    last_used_at: Mapped[datetime | None]  # to within minutes
    expires_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]


class IdempotencyKey(Base):
    """A request that may be sent again, and its answer: the repeated one gets the same."""

    __tablename__ = "idempotency_keys"

    client: Mapped[str] = mapped_column(
        String(32), primary_key=True
    )  # prefix of its API key, or ""
    key: Mapped[str] = mapped_column(String(255), primary_key=True)
    request: Mapped[str] = mapped_column(String(64))  # sha256 of method, address and body
    claimed_at: Mapped[datetime] = mapped_column(index=True)  # by the database's clock
    status: Mapped[int | None]  # NULL: it is being worked on
    headers: Mapped[dict[str, str] | None] = mapped_column(JSON)
    body: Mapped[bytes | None] = mapped_column(LargeBinary)  # packed by zlib


class Secret(Base):
    """A secret that all processes share."""

    __tablename__ = "secrets"

    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    value: Mapped[bytes] = mapped_column(LargeBinary)
