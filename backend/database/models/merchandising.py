"""Placements, rules and experiments, with their history."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Float, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from backend.database.models.declaring import Base, BigKey, utcnow


class Placement(Base):
    """A named set of defaults of lists."""

    __tablename__ = "placements"

    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    settings: Mapped[dict[str, Any]]  # members of a request, checked when they were put
    version: Mapped[int]
    updated_at: Mapped[datetime] = mapped_column(default=utcnow)


class PlacementChange(Base):
    """One change of a placement."""

    __tablename__ = "placement_changes"

    id: Mapped[int] = mapped_column(BigKey, primary_key=True)
    name: Mapped[str] = mapped_column(String(64), index=True)
    version: Mapped[int]
    change: Mapped[str] = mapped_column(String(16))  # created, replaced, removed
    settings: Mapped[dict[str, Any]]  # since then; those before, where it was removed
    changed_by: Mapped[str | None] = mapped_column(String(64))  # prefix of an API key, or a command
    at: Mapped[datetime] = mapped_column(default=utcnow)


class RuleRow(Base):
    """A merchandiser's rule about lists."""

    __tablename__ = "rules"
    __table_args__ = {"sqlite_autoincrement": True}  # an id is never used twice

    id: Mapped[int] = mapped_column(BigKey, primary_key=True)
    settings: Mapped[dict[str, Any]]  # members of a request, checked when they were put
    version: Mapped[int]
    created_at: Mapped[datetime] = mapped_column(default=utcnow)
    updated_at: Mapped[datetime] = mapped_column(default=utcnow)


class RuleChange(Base):
    """One change of a rule. The greatest id stands for all rules as they are now."""

    __tablename__ = "rule_changes"
    __table_args__ = {"sqlite_autoincrement": True}

    id: Mapped[int] = mapped_column(BigKey, primary_key=True)
    rule_id: Mapped[int] = mapped_column(BigInteger, index=True)
    version: Mapped[int]
    change: Mapped[str] = mapped_column(String(16))  # created, replaced, removed
    settings: Mapped[dict[str, Any]]  # since then; those before, where it was removed
    changed_by: Mapped[str | None] = mapped_column(String(64))  # prefix of an API key, or a command
    at: Mapped[datetime] = mapped_column(default=utcnow)


class Experiment(Base):
    """Shoppers are split between two placements, or two generations."""

    __tablename__ = "experiments"

    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    placement: Mapped[str | None] = mapped_column(String(64))  # the one that requests name
    against: Mapped[str | None] = mapped_column(String(64))  # the placement that is tried
    generation_id: Mapped[int | None] = mapped_column(BigInteger)  # or the generation
    share: Mapped[float] = mapped_column(Float)  # of the shoppers who get what is tried
    state: Mapped[str] = mapped_column(String(16))
    reason: Mapped[str | None] = mapped_column(Text)  # why it was stopped
    created_at: Mapped[datetime] = mapped_column(default=utcnow)
    stopped_at: Mapped[datetime | None]
