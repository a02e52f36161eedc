"""What the shop sells: products, their images, and the feeds that bring them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, ForeignKey, Numeric, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from backend.database.models.declaring import Base, BigKey, utcnow


class Product(Base):
    """One product of the shop. `id` is also its point's id; `sku` is the shop's own key."""

    __tablename__ = "products"
    __table_args__ = {"sqlite_autoincrement": True}  # an id is never used twice

    id: Mapped[int] = mapped_column(BigKey, primary_key=True)
    sku: Mapped[str] = mapped_column(String(128), unique=True)
    display_name: Mapped[str | None] = mapped_column(Text)
    gender: Mapped[str | None] = mapped_column(String(255))
    master_category: Mapped[str | None] = mapped_column(String(255))
    sub_category: Mapped[str | None] = mapped_column(String(255))
    article_type: Mapped[str | None] = mapped_column(String(255))
    base_colour: Mapped[str | None] = mapped_column(String(255))
    season: Mapped[str | None] = mapped_column(String(255))
    year: Mapped[int | None]
    usage: Mapped[str | None] = mapped_column(String(255))
    group_id: Mapped[str | None] = mapped_column(String(255))  # the same for all variants of one
    brand: Mapped[str | None] = mapped_column(String(255))
    link: Mapped[str | None] = mapped_column(Text)  # the product's page
    price: Mapped[float | None] = mapped_column(Numeric(12, 2, asdecimal=False))
    currency: Mapped[str | None] = mapped_column(String(3))
    in_stock: Mapped[bool] = mapped_column(default=True)
    attributes: Mapped[dict[str, Any]] = mapped_column(default=dict)
    image_uri: Mapped[str | None] = mapped_column(Text)
    image_digest: Mapped[str | None] = mapped_column(String(64), index=True)  # sha256, in hex
    image_bytes: Mapped[int | None] = mapped_column(BigInteger)  # with the time: has it changed?
    image_mtime_ns: Mapped[int | None] = mapped_column(BigInteger)
    image_role: Mapped[str | None] = mapped_column(String(64))
    more_images: Mapped[int | None]  # how many rows of `product_images` there are; NULL: none
    removed_at: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(default=utcnow, index=True)
    updated_at: Mapped[datetime] = mapped_column(default=utcnow)


class ProductImage(Base):
    """One more image of a product; the first one is in the product's own row."""

    __tablename__ = "product_images"

    product_id: Mapped[int] = mapped_column(
        BigKey, ForeignKey("products.id", ondelete="CASCADE"), primary_key=True
    )
    position: Mapped[int] = mapped_column(primary_key=True)  # from 1; the first image has 0
    uri: Mapped[str] = mapped_column(Text)
    digest: Mapped[str | None] = mapped_column(String(64), index=True)
    bytes: Mapped[int | None] = mapped_column(BigInteger)
    mtime_ns: Mapped[int | None] = mapped_column(BigInteger)
    role: Mapped[str | None] = mapped_column(String(64))  # the shop's own word


class UnnamedImage(Base):
    """An image content that no product names any more; it is deleted after a time of grace."""

    __tablename__ = "unnamed_images"

    image_digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    bytes: Mapped[int | None] = mapped_column(BigInteger)  # of its file; NULL: there is no file
    vectors: Mapped[int]  # one for each embedder
    found_at: Mapped[datetime] = mapped_column(index=True)


class Feed(Base):
    """A feed that is imported by itself, again and again."""

    __tablename__ = "feeds"

    id: Mapped[int] = mapped_column(BigKey, primary_key=True)
    name: Mapped[str] = mapped_column(String(64), unique=True)
    location: Mapped[str] = mapped_column(Text)  # an address, or a path on the server
    every_seconds: Mapped[int] = mapped_column(BigInteger)  # 0: only when somebody asks
    options: Mapped[dict[str, Any]] = mapped_column(default=dict)  # `backend.feeds.options`
    seen: Mapped[dict[str, Any] | None]  # tells whether the feed has changed since its last run
    failures: Mapped[int] = mapped_column(default=0)  # runs since the last good one
    job_id: Mapped[int | None] = mapped_column(BigInteger)  # of the newest run
    due_at: Mapped[datetime | None] = mapped_column(index=True)
    paused_at: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(default=utcnow)


class FeedRun(Base):
    """One import of a feed, with its outcome; the newest are kept."""

    __tablename__ = "feed_runs"

    id: Mapped[int] = mapped_column(BigKey, primary_key=True)
    feed_id: Mapped[int] = mapped_column(
        BigKey, ForeignKey("feeds.id", ondelete="CASCADE"), index=True
    )
    job_id: Mapped[int | None] = mapped_column(BigInteger)
    outcome: Mapped[str] = mapped_column(String(16))  # `backend.feeds.runs.Outcome`
    reason: Mapped[str | None] = mapped_column(Text)
    bytes: Mapped[int | None] = mapped_column(BigInteger)  # of the file that was fetched
    report: Mapped[dict[str, Any] | None]  # counts, warnings by kind, the first rejects
    started_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]
