"""Generations: what each holds of each product, the vectors, and what was fitted and measured."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from sqlalchemy import JSON, BigInteger, Float, ForeignKey, Index, LargeBinary, String, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from backend.database.models.declaring import Base, BigKey, utcnow

BUILDING: Final = "building"
ACTIVE: Final = "active"
STANDBY: Final = "standby"
RETIRED: Final = "retired"
LIVE: Final = (BUILDING, ACTIVE, STANDBY)
"""The states in which a generation receives every write."""


class Generation(Base):
    """One index of the whole catalogue by one embedder."""

    __tablename__ = "generations"
    __table_args__ = {"sqlite_autoincrement": True}

    id: Mapped[int] = mapped_column(BigKey, primary_key=True)
    collection: Mapped[str] = mapped_column(String(255), unique=True)
    embedder: Mapped[str] = mapped_column(String(255))  # the spec that loads it: name?option=value
    fingerprint: Mapped[str] = mapped_column(String(64))
    features: Mapped[str | None] = mapped_column(String(64))  # fingerprint of what is kept beside
    configured: Mapped[str | None] = mapped_column(String(255))  # LOOKALIKE_EMBEDDER when it began
    size: Mapped[int]
    blocks: Mapped[list[Any] | None] = mapped_column(  # [name, start, stop] of each; NULL: unknown
        JSON(none_as_null=True)
    )
    distance: Mapped[str] = mapped_column(String(16), default="cosine")
    quantization: Mapped[str | None] = mapped_column(String(16))
    index_options: Mapped[dict[str, Any]] = mapped_column(default=dict)
    attribute_tokens: Mapped[bool | None]  # whether its points hold them; NULL: no
    state: Mapped[str] = mapped_column(String(16), index=True)
    backfilled_to: Mapped[int] = mapped_column(BigInteger, default=0)  # last product id with a row
    most_images: Mapped[int | None]  # of one product, that the index may hold; NULL: one
    quality: Mapped[dict[str, Any] | None]  # the measured numbers it was promoted with
    match_curve: Mapped[dict[str, Any] | None] = mapped_column(  # `search.matches.MatchCurve`
        JSON(none_as_null=True)
    )
    match_version: Mapped[int | None]  # rises with each curve; NULL: there is none
    created_at: Mapped[datetime] = mapped_column(default=utcnow)
    promoted_at: Mapped[datetime | None]
    retired_at: Mapped[datetime | None]
    dropped_at: Mapped[datetime | None]  # when its index, entries and vectors were deleted


class IndexEntry(Base):
    """What one generation holds of one product, and what it still has to do.

    There is no column for a status: pending, quarantined and indexed are derived from the numbers,
    so they cannot contradict them. Only `backend.queue` writes these rows.
    """

    __tablename__ = "index_entries"

    generation_id: Mapped[int] = mapped_column(
        BigKey, ForeignKey("generations.id", ondelete="CASCADE"), primary_key=True
    )
    product_id: Mapped[int] = mapped_column(
        BigKey, ForeignKey("products.id", ondelete="CASCADE"), primary_key=True
    )
    wanted: Mapped[int] = mapped_column(BigInteger, default=1)  # version the shop wants indexed
    embedded: Mapped[int] = mapped_column(BigInteger, default=0)  # version whose vector is stored
    embedded_digest: Mapped[str | None] = mapped_column(String(64), index=True)  # its image
    indexed: Mapped[int] = mapped_column(BigInteger, default=0)  # version in the index
    claim: Mapped[int] = mapped_column(BigInteger, default=0)  # number of the newest claim
    indexed_claim: Mapped[int | None] = mapped_column(BigInteger)  # of the point; NULL: no point,
    # 0: a point that is there is from before the product was deleted
    failures: Mapped[int] = mapped_column(default=0)
    priority: Mapped[int] = mapped_column(default=1)
    requested_at: Mapped[datetime]  # as `due_at`: by the clock of the database, so no default
    due_at: Mapped[datetime | None]
    last_error: Mapped[str | None] = mapped_column(Text)
    image_awaited_since: Mapped[datetime | None]  # its image was not there then, nor ever since
    image_retry_at: Mapped[datetime | None]  # when to look for it again
    more_digests: Mapped[list[str] | None] = mapped_column(
        JSON(none_as_null=True)
    )  # the images of the product's points beyond the first
    more_points: Mapped[int | None]  # how many points beyond the first the index may hold
    image_errors: Mapped[dict[str, str] | None] = mapped_column(
        JSON(none_as_null=True)
    )  # why single images have no point: {uri: reason}

    __table_args__ = (
        Index(
            "ix_index_entries_awaited",
            "generation_id",
            "image_retry_at",
            postgresql_where=text("image_retry_at IS NOT NULL"),
            sqlite_where=text("image_retry_at IS NOT NULL"),
        ),
        Index(
            "ix_index_entries_image_errors",
            "generation_id",
            "product_id",
            postgresql_where=text("image_errors IS NOT NULL"),
            sqlite_where=text("image_errors IS NOT NULL"),
        ),
        Index(
            "ix_index_entries_due",
            "generation_id",
            "priority",
            "due_at",
            postgresql_where=text("due_at IS NOT NULL"),
            sqlite_where=text("due_at IS NOT NULL"),
        ),
        Index(
            "ix_index_entries_quarantine",
            "generation_id",
            "product_id",
            postgresql_where=text("last_error IS NOT NULL"),
            sqlite_where=text("last_error IS NOT NULL"),
        ),
    )


class ImageVector(Base):
    """The vector of one image content by one embedder; computed once, and used by every index."""

    __tablename__ = "image_vectors"

    image_digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    fingerprint: Mapped[str] = mapped_column(String(64), primary_key=True)
    vector: Mapped[bytes] = mapped_column(LargeBinary)  # float16, little-endian, L2-normalised
    created_at: Mapped[datetime] = mapped_column(default=utcnow)


class Statistics(Base):
    """What was fitted to this shop's images; an embedder names it by its digest."""

    __tablename__ = "statistics"

    digest: Mapped[str] = mapped_column(String(64), primary_key=True)  # sha256, in hex
    content: Mapped[bytes] = mapped_column(LargeBinary)  # `embedders.block_statistics`
    created_at: Mapped[datetime] = mapped_column(default=utcnow)


class WordAlignment(Base):
    """How texts map to the vectors of one embedder, as it was learnt on this catalogue."""

    __tablename__ = "word_alignments"

    fingerprint: Mapped[str] = mapped_column(String(64), primary_key=True)
    alignment: Mapped[bytes] = mapped_column(LargeBinary)  # `embedders.words.Alignment.to_bytes`
    quality: Mapped[dict[str, Any] | None]  # measured on products that were not learnt from
    created_at: Mapped[datetime] = mapped_column(default=utcnow)


class FilterShape(Base):
    """How often filters of one shape were used, and the recall of a sample of these queries."""

    __tablename__ = "filter_shapes"

    generation_id: Mapped[int] = mapped_column(
        BigKey, ForeignKey("generations.id", ondelete="CASCADE"), primary_key=True
    )
    shape: Mapped[str] = mapped_column(String(500), primary_key=True)
    mode: Mapped[str] = mapped_column(String(16), primary_key=True)
    queries: Mapped[int] = mapped_column(BigInteger, default=0)
    compared: Mapped[int] = mapped_column(BigInteger, default=0)
    recall_sum: Mapped[float] = mapped_column(Float, default=0.0)
    updated_at: Mapped[datetime] = mapped_column(default=utcnow)


class Count(Base):
    """The progress of a generation as one process counted it; other processes read it too."""

    __tablename__ = "counts"

    generation_id: Mapped[int] = mapped_column(
        BigKey, ForeignKey("generations.id", ondelete="CASCADE"), primary_key=True
    )
    progress: Mapped[dict[str, Any]]
    awaited: Mapped[int | None] = mapped_column(BigInteger)
    counted_at: Mapped[datetime]
    good_until: Mapped[datetime]
