"""What shoppers did, what was derived from it, and the lists that they were shown."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, Float, ForeignKey, Index, String, text
from sqlalchemy.orm import Mapped, mapped_column

from backend.database.models.declaring import Base, BigKey, utcnow


class Event(Base):
    """One act of a shopper with a product: viewed it, put it in the cart, bought it."""

    __tablename__ = "events"
    __table_args__ = (
        Index("ix_events_shopper_at", "shopper", "at"),
        Index(
            "ix_events_recommendation",
            "recommendation",
            postgresql_where=text("recommendation IS NOT NULL"),
            sqlite_where=text("recommendation IS NOT NULL"),
        ),
        Index(
            "ix_events_pending",
            "pending",
            "id",
            postgresql_where=text("pending IS NOT NULL"),
            sqlite_where=text("pending IS NOT NULL"),
        ),
    )

    id: Mapped[int] = mapped_column(BigKey, primary_key=True)
    event_id: Mapped[str | None] = mapped_column(String(128), unique=True)  # the client's, or ours
    product_id: Mapped[int | None] = mapped_column(
        BigKey, ForeignKey("products.id", ondelete="CASCADE"), index=True
    )  # NULL: no product has the sku yet
    sku: Mapped[str | None] = mapped_column(String(128))
    shopper: Mapped[str | None] = mapped_column(String(128))
    session: Mapped[str | None] = mapped_column(String(128), index=True)
    kind: Mapped[str] = mapped_column(String(32))
    at: Mapped[datetime] = mapped_column(default=utcnow, index=True)
    basket: Mapped[str | None] = mapped_column(String(128))  # the order, or the cart
    recommendation: Mapped[str | None] = mapped_column(String(64))  # the answer that led to it
    pending: Mapped[int | None]  # `backend.events.counting`: 1: not counted yet; 2: unknown product


class ProductPartners(Base):
    """What a product goes together with, by what shoppers did: `backend.events.partners`."""

    __tablename__ = "product_partners"

    product_id: Mapped[int] = mapped_column(
        BigKey, ForeignKey("products.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    packed: Mapped[bytes]


class ProductPair(Base):
    """A pair that the previous release has counted. It is moved to ProductPartners."""

    __tablename__ = "product_pairs"
    __table_args__ = (Index("ix_product_pairs_ranked", "product_id", "score", "other_id"),)

    product_id: Mapped[int] = mapped_column(
        BigKey, ForeignKey("products.id", ondelete="CASCADE"), primary_key=True
    )
    other_id: Mapped[int] = mapped_column(
        BigKey, ForeignKey("products.id", ondelete="CASCADE"), primary_key=True, index=True
    )
    score: Mapped[float] = mapped_column(Float)  # `backend.events.decay`
    times: Mapped[int] = mapped_column(BigInteger)


class CategoryPair(Base):
    """How strongly products of a category go together with those of another one."""

    __tablename__ = "category_pairs"

    level: Mapped[str] = mapped_column(String(32), primary_key=True)  # a field of products
    category: Mapped[str] = mapped_column(String(255), primary_key=True)
    other: Mapped[str] = mapped_column(String(255), primary_key=True)
    score: Mapped[float] = mapped_column(Float)  # `backend.events.decay`
    times: Mapped[int] = mapped_column(BigInteger)


class ProductDay(Base):
    """What shoppers did with a product on one day."""

    __tablename__ = "product_days"

    day: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)  # since 1970, in UTC
    product_id: Mapped[int] = mapped_column(
        BigKey, ForeignKey("products.id", ondelete="CASCADE"), primary_key=True, index=True
    )
    score: Mapped[float] = mapped_column(Float)
    events: Mapped[int] = mapped_column(BigInteger)


class ProductPopularity(Base):
    """How popular a product is, by all that was ever done with it; old acts count less.

    The two sums are logarithms to the base 2, since they grow without a limit
    (`backend.events.decay.Decay`). They are stored as sums at no certain time: the order of two
    products stays the same until one of them is acted on.
    """

    __tablename__ = "product_popularity"

    product_id: Mapped[int] = mapped_column(
        BigKey, ForeignKey("products.id", ondelete="CASCADE"), primary_key=True
    )
    popular: Mapped[float] = mapped_column(Float, index=True)
    trending: Mapped[float] = mapped_column(Float, index=True)
    last_day: Mapped[int]  # of the newest act, since 1970, in UTC


class ReadyRelations(Base):
    """What the looks of a product tell of it in a generation: `backend.recommendations.ready`."""

    __tablename__ = "ready_relations"

    generation_id: Mapped[int] = mapped_column(
        BigKey, ForeignKey("generations.id", ondelete="CASCADE"), primary_key=True
    )
    product_id: Mapped[int] = mapped_column(
        BigKey, ForeignKey("products.id", ondelete="CASCADE"), primary_key=True, index=True
    )
    made_at: Mapped[datetime] = mapped_column(index=True)
    newest_product: Mapped[int] = mapped_column(BigInteger)  # the largest id when it was made
    packed: Mapped[bytes]  # `backend.recommendations.relations.Relations.pack`


class ListedAnswer(Base):
    """An answer with recommendations, kept for a day: to be shown again, and to tell reasons."""

    __tablename__ = "recommendation_log"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)  # the `recommendation_id`
    at: Mapped[datetime] = mapped_column(default=utcnow, index=True)
    list_name: Mapped[str] = mapped_column(String(32))  # `backend.events.answers.ListName`
    generation_id: Mapped[int] = mapped_column(BigInteger)
    shopper: Mapped[str | None] = mapped_column(String(128), index=True)
    session: Mapped[str | None] = mapped_column(String(128), index=True)
    question: Mapped[dict[str, Any]] = mapped_column(JSON)
    items: Mapped[list[Any]] = mapped_column(JSON)
    placement: Mapped[str | None] = mapped_column(String(64))  # that the request named
    experiment: Mapped[str | None] = mapped_column(String(64))
    arm: Mapped[str | None] = mapped_column(String(16))


class ListedDay(Base):
    """What became of listed products on one day, by where and why they were listed."""

    __tablename__ = "recommendation_days"

    day: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)  # since 1970, in UTC
    list_name: Mapped[str] = mapped_column(String(32), primary_key=True)
    reason: Mapped[str] = mapped_column(String(16), primary_key=True)
    generation_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    cold: Mapped[bool] = mapped_column(primary_key=True)  # nobody had done anything with them
    listed: Mapped[int] = mapped_column(BigInteger, default=0)
    impressions: Mapped[int] = mapped_column(BigInteger, default=0)
    clicks: Mapped[int] = mapped_column(BigInteger, default=0)
    carts: Mapped[int] = mapped_column(BigInteger, default=0)
    purchases: Mapped[int] = mapped_column(BigInteger, default=0)


class ListedArm(Base):
    """What became of listed products on one day, by placement and by arm of an experiment.

    Only of answers whose request named a placement, or that an experiment has split. A text is
    empty where there is none.
    """

    __tablename__ = "recommendation_arms"

    day: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)  # since 1970, in UTC
    list_name: Mapped[str] = mapped_column(String(32), primary_key=True)
    placement: Mapped[str] = mapped_column(String(64), primary_key=True)
    experiment: Mapped[str] = mapped_column(String(64), primary_key=True)
    arm: Mapped[str] = mapped_column(String(16), primary_key=True)
    listed: Mapped[int] = mapped_column(BigInteger, default=0)
    impressions: Mapped[int] = mapped_column(BigInteger, default=0)
    clicks: Mapped[int] = mapped_column(BigInteger, default=0)
    carts: Mapped[int] = mapped_column(BigInteger, default=0)
    purchases: Mapped[int] = mapped_column(BigInteger, default=0)
