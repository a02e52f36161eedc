"""Alignments of texts with the vectors of embedders, as they are stored in SQL."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from backend.database.models import WordAlignment, utcnow


def store(session: Session, fingerprint: str, alignment: bytes, quality: Mapping[str, Any]) -> None:
    """Store the alignment of an embedder, in place of a former one."""
    session.merge(
        WordAlignment(
            fingerprint=fingerprint,
            alignment=alignment,
            quality=dict(quality),
            created_at=utcnow(),
        )
    )


def stored_at(session: Session, fingerprint: str) -> datetime | None:
    """Return when the alignment of an embedder was stored; None if there is none."""
    return session.scalar(
        select(WordAlignment.created_at).where(WordAlignment.fingerprint == fingerprint)
    )


def reads_words_alone(session: Session, fingerprint: str) -> bool:
    """Tell whether there is an alignment that needs no text model."""
    quality = session.scalar(
        select(WordAlignment.quality).where(WordAlignment.fingerprint == fingerprint)
    )
    return quality is not None and quality.get("sentences") is False


def load(session: Session, fingerprint: str) -> bytes | None:
    """Return the alignment of an embedder, or None."""
    return session.scalar(
        select(WordAlignment.alignment).where(WordAlignment.fingerprint == fingerprint)
    )


def forget(session: Session, fingerprint: str) -> None:
    """Delete the alignment of an embedder."""
    session.execute(delete(WordAlignment).where(WordAlignment.fingerprint == fingerprint))
