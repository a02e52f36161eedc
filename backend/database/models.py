"""The tables. Products, the vectors of their images, and what still has to be done."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

from sqlalchemy import (
    JSON,
    BigInteger,
    DateTime,
    Dialect,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Numeric,
    String,
    Text,
    TypeDecorator,
    text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

BigKey = BigInteger().with_variant(Integer, "sqlite")


def utcnow() -> datetime:
    """Return the present time in UTC, with its time zone."""
    return datetime.now(UTC)


class UtcDateTime(TypeDecorator[datetime]):
    """A datetime in UTC with its time zone, on SQLite too, which does not store zones."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Convert to UTC; raises ValueError for a datetime without a zone."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a naive datetime cannot be stored")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Add the zone that SQLite does not store."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Base(DeclarativeBase):
    """Base of all tables; constraints have fixed names, so that migrations can refer to them."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {datetime: UtcDateTime, dict[str, Any]: JSON}


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


class UnnamedImage(Base):
    """An image content that no product names any more; it is deleted after a time of grace."""

    __tablename__ = "unnamed_images"

    image_digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    bytes: Mapped[int | None] = mapped_column(BigInteger)  # of its file; NULL: there is no file
    vectors: Mapped[int]  # one for each embedder
    found_at: Mapped[datetime] = mapped_column(index=True)


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


class Job(Base):
    """An operator's long task. Any process may insert it; one that has what it needs runs it."""

    __tablename__ = "jobs"

    id: Mapped[int] = mapped_column(BigKey, primary_key=True)
    verb: Mapped[str] = mapped_column(String(64))
    arguments: Mapped[dict[str, Any]] = mapped_column(default=dict)
    state: Mapped[str] = mapped_column(String(16), default="queued", index=True)
    claim: Mapped[int] = mapped_column(BigInteger, default=0, server_default="0")  # newest runner's
    done: Mapped[int] = mapped_column(BigInteger, default=0)
    total: Mapped[int | None] = mapped_column(BigInteger)
    rate: Mapped[float | None] = mapped_column(Float)  # a second, by the last reports
    result: Mapped[dict[str, Any] | None]
    error: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(default=utcnow)
    started_at: Mapped[datetime | None]
    heartbeat_at: Mapped[datetime | None]
    wake_at: Mapped[datetime | None]  # when to look again at a job that waits for the queue
    finished_at: Mapped[datetime | None]
    cancelled_at: Mapped[datetime | None]  # when an operator asked for its end


class JobInput(Base):
    """A part of what a client has sent for a job; kept until the job ends."""

    __tablename__ = "job_inputs"

    job_id: Mapped[int] = mapped_column(
        BigKey, ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True
    )
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    content: Mapped[bytes] = mapped_column(LargeBinary)  # packed by zlib


class ClockRow(Base):
    """The clock of the database: one row; `backend.database.clock` reads and writes it."""

    __tablename__ = "clock"

    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    boot: Mapped[str | None] = mapped_column(String(64))  # SQLite: which start of the host
    origin: Mapped[datetime | None]  # SQLite: what time it was then
    ahead_seconds: Mapped[float] = mapped_column(Float, default=0.0, server_default="0")
    seen_at: Mapped[datetime | None]  # PostgreSQL: a time that was reached


class WorkerRow(Base):
    """A process that works on queue or jobs, and when it was last seen."""

    __tablename__ = "workers"

    name: Mapped[str] = mapped_column(String(255), primary_key=True)  # host:process id
    embeds: Mapped[bool]
    applies: Mapped[bool]  # and runs jobs
    skew_seconds: Mapped[float] = mapped_column(Float)  # its host's clock less the database's
    seen_at: Mapped[datetime]


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


class Cursor(Base):
    """How far a repeated task, such as reconcile, has come in the catalogue."""

    __tablename__ = "cursors"

    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    position: Mapped[int] = mapped_column(BigInteger, default=0)
    updated_at: Mapped[datetime] = mapped_column(default=utcnow, onupdate=utcnow)


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


class QueueSample(Base):
    """How much waited in one minute, for charts; `backend.queue.history` keeps those of a day."""

    __tablename__ = "queue_samples"

    minute: Mapped[int] = mapped_column(  # since 1970, by the clock of the database
        BigInteger, primary_key=True, autoincrement=False
    )
    generation_id: Mapped[int] = mapped_column(BigInteger)  # the active one
    waiting: Mapped[int] = mapped_column(BigInteger)
    oldest_seconds: Mapped[float] = mapped_column(Float)  # how long the oldest had waited
    indexed: Mapped[int] = mapped_column(BigInteger)
    quarantined: Mapped[int] = mapped_column(BigInteger)


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


class ProductPair(Base):
    """How strongly a product goes together with another one, by what shoppers did."""

    __tablename__ = "product_pairs"
    __table_args__ = (Index("ix_product_pairs_strongest", "product_id", "score"),)

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


class WordAlignment(Base):
    """How texts map to the vectors of one embedder, as it was learnt on this catalogue."""

    __tablename__ = "word_alignments"

    fingerprint: Mapped[str] = mapped_column(String(64), primary_key=True)
    alignment: Mapped[bytes] = mapped_column(LargeBinary)  # `embedders.words.Alignment.to_bytes`
    quality: Mapped[dict[str, Any] | None]  # measured on products that were not learnt from
    created_at: Mapped[datetime] = mapped_column(default=utcnow)


class Secret(Base):
    """A secret that all processes share."""

    __tablename__ = "secrets"

    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    value: Mapped[bytes] = mapped_column(LargeBinary)


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
