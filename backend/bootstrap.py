"""The composition root: settings -> services. Only the entry points (api, cli, worker) take them.

All other code takes the few objects and functions that it uses, never the services.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from backend import generations
from backend.database import migrate
from backend.database.engine import Database
from backend.database.models import Generation
from backend.embedders import Compute
from backend.embedders.loaded import LoadedEmbedders
from backend.errors import ConfigurationError
from backend.feeds.download import FeedLimits
from backend.feeds.importing import FeedRunner
from backend.generations import EmbedderIdentity
from backend.images import fetch
from backend.images.decoder_pool import DecoderPool
from backend.images.limits import ImageLimits
from backend.images.open_images import ImageOpener
from backend.images.store import ImageStore
from backend.indexing import schema
from backend.outages import Outages
from backend.reindex import Promoter, ReindexJobs, bounds_of
from backend.search.coverage import CoverageMonitor
from backend.search.query_image import (
    EmbedRemotely,
    LocalQueryEncoder,
    QueryEncoder,
    RemoteQueryEncoder,
)
from backend.search.recall_monitor import RecallMonitor
from backend.settings import Settings
from backend.vectors.edge.owner import Owner
from backend.vectors.indexes import Indexes


@dataclass(kw_only=True)
class Services:
    """What one process works with. What is expensive is opened on first use."""

    settings: Settings
    notify: Callable[[], None]  # called after every write that makes work due
    heartbeat: Callable[[], None]  # called at every step of the work
    embeds: bool  # whether this process may load a network, and so embeds products
    db: Database
    owner: Owner  # the lock of the embedded index
    indexes: Indexes
    limits: ImageLimits
    image_store: ImageStore
    decoders: DecoderPool
    image_opener: ImageOpener
    embedders: LoadedEmbedders
    local_encoder: LocalQueryEncoder  # embeds images in this process
    query_encoder: QueryEncoder  # embeds shoppers' images, here or in a worker
    outages: Outages  # what does not work at the moment
    recall: RecallMonitor
    coverage: CoverageMonitor
    promoter: Promoter
    reindex_jobs: ReindexJobs
    feeds: FeedRunner

    @property
    def writes_index(self) -> bool:
        """Whether this process may write the index: a server's always, a shard as its owner."""
        return self.settings.qdrant_url is not None or self.owner.is_here

    def first_generation(self) -> Generation:
        """Return the active generation, started with the settings' embedder if there is none."""
        spec = self.settings.embedder
        identity = EmbedderIdentity.of(spec, self.embedders.named(spec))
        return generations.ensure_first(self.db, identity, configured=spec)

    def close(self) -> None:
        """Flush and close everything."""
        self.indexes.close_all()
        self.decoders.close()
        self.owner.release()
        self.db.close()


def build(
    settings: Settings,
    *,
    notify: Callable[[], None] = lambda: None,
    heartbeat: Callable[[], None] = lambda: None,
    embed_remotely: EmbedRemotely | None = None,
    embeds: bool | None = None,
) -> Services:
    """Build the services. An embedded database is migrated; another one has to be current.

    With `embed_remotely` the workers embed shoppers' images, and this process loads no network
    unless it `embeds` products. Raises ConfigurationError when a database server lacks a migration.
    """
    embeds = embed_remotely is None if embeds is None else embeds
    db, indexed = _database(settings), schema(settings.facets)
    outages = Outages(first_seconds=settings.retry_seconds)
    indexes = Indexes(settings, schema=indexed)
    embedders = LoadedEmbedders(_compute(settings), heartbeat=heartbeat)
    limits, store = _limits(settings), ImageStore(settings.image_store_url)
    decoders = DecoderPool(
        settings.decoders,
        limits=limits,
        seconds=settings.decode_seconds,
        wait_seconds=settings.decode_seconds,
    )
    local_encoder = LocalQueryEncoder(embedders, decoders)
    query_encoder: QueryEncoder = local_encoder
    if embed_remotely is not None:
        query_encoder = RemoteQueryEncoder(
            embed_remotely,
            decoders,
            seconds=settings.interactive_seconds,
            heartbeat=heartbeat,
        )
    promoter = Promoter(
        db=db,
        bounds=bounds_of(settings),
        embedder=settings.embedder,
        index_of=indexes.of,
        query_encoder=query_encoder,
        point_alias=indexes.point_alias,
        heartbeat=heartbeat,
    )
    services = Services(
        settings=settings,
        notify=notify,
        heartbeat=heartbeat,
        embeds=embeds,
        db=db,
        owner=Owner(settings.data_dir),
        indexes=indexes,
        limits=limits,
        image_store=store,
        decoders=decoders,
        image_opener=ImageOpener(
            store, decoders, fetch=_fetcher(settings, limits), outages=outages
        ),
        embedders=embedders,
        local_encoder=local_encoder,
        query_encoder=query_encoder,
        outages=outages,
        recall=RecallMonitor(db, schema=indexed, rate=settings.recall_sample),
        coverage=CoverageMonitor(db, indexes.of),
        promoter=promoter,
        reindex_jobs=ReindexJobs(
            db=db,
            promoter=promoter,
            embedder=settings.embedder,
            identify=(local_encoder if embeds else query_encoder).identify,
            embedder_of=embedders.of,
            has_workers=bool(settings.broker_url),
            heartbeat=heartbeat,
        ),
        feeds=FeedRunner(
            db=db,
            image_store=store,
            hosts=settings.hosts_of_feeds,
            limits=FeedLimits(max_bytes=settings.max_feed_bytes, seconds=settings.feed_seconds),
            folder=settings.data_dir.absolute() / "feeds",
            max_image_bytes=settings.max_image_bytes,
        ),
    )
    _check_database(db)
    return services


def _database(settings: Settings) -> Database:
    if settings.database.startswith("sqlite"):
        return Database(settings.database)
    return Database(
        settings.database,
        pool_size=settings.db_pool_size,
        max_overflow=settings.db_pool_overflow,
        connect_args={"connect_timeout": settings.db_connect_seconds},
    )


def _check_database(db: Database) -> None:
    if db.is_sqlite:
        migrate.migrate(db)
    elif not migrate.is_current(db):
        raise ConfigurationError("the database lacks a migration: run `lookalike migrate`")


def _compute(settings: Settings) -> Compute:
    return Compute(
        device=settings.device,
        precision=settings.precision,
        batch_size=settings.batch_size,
        threads=settings.torch_threads,
    )


def _limits(settings: Settings) -> ImageLimits:
    return ImageLimits(
        max_bytes=settings.max_image_bytes,
        max_pixels=settings.max_image_pixels,
        max_side=settings.max_image_side,
        min_side=settings.min_image_side,
    )


def _fetcher(settings: Settings, limits: ImageLimits) -> Callable[[str], bytes]:
    """Return what fetches a remote image from an allowed host."""
    return lambda uri: fetch.fetch(
        uri, hosts=settings.image_hosts, limits=limits, seconds=settings.fetch_seconds
    )
