"""The parts of the services, each made from the settings that it needs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from sqlalchemy import make_url

from backend.adaptation import stored as statistics
from backend.calls import Caller
from backend.database.engine import Database
from backend.embedders import Compute
from backend.embedders.loaded import LoadedEmbedders
from backend.errors import ConfigurationError
from backend.feeds.download import FeedLimits
from backend.feeds.importing import FeedRunner
from backend.images import fetch
from backend.images.addresses import host_of
from backend.images.decoder_pool import DecoderPool
from backend.images.guard import guarded
from backend.images.limits import ImageLimits
from backend.images.store import ImageStore
from backend.outages import Outages
from backend.reindex import Promoter, ReindexJobs, bounds_of
from backend.search.owner_encoder import OwnerQueryEncoder
from backend.search.query_image import (
    EmbedRemotely,
    LocalQueryEncoder,
    QueryEncoder,
    RemoteQueryEncoder,
)
from backend.settings import Settings
from backend.vectors.indexes import Indexes


def open_database(settings: Settings) -> Database:
    """Return the database; raise ConfigurationError if it is lost and its index is not."""
    if settings.database.startswith("sqlite"):
        _check_not_lost(settings)
        return Database(settings.database)
    return Database(
        settings.database,
        pool_size=settings.db_pool_size,
        max_overflow=settings.db_pool_overflow,
        connect_args={"connect_timeout": settings.db_connect_seconds},
    )


def _check_not_lost(settings: Settings) -> None:
    """Raise ConfigurationError if the catalogue is gone and its index is there.

    An empty catalogue would be made, and the index, which agrees with it in nothing, emptied.
    """
    file = Path(make_url(settings.database).database or ":memory:")
    is_gone = settings.database_url is None and (not file.exists() or file.stat().st_size == 0)
    if is_gone and settings.index_dir.is_dir() and any(settings.index_dir.iterdir()):
        raise ConfigurationError(
            f"the database file {file} is missing, but {settings.index_dir} holds an index: bring "
            "the file back or use `lookalike restore`; to begin anew, delete that folder"
        )


def make_decoders(settings: Settings, limits: ImageLimits) -> DecoderPool:
    """Return the processes that decode images; none is started yet."""
    return DecoderPool(
        settings.decoders,
        limits=limits,
        seconds=settings.decode_seconds,
        wait_seconds=settings.decode_seconds,
    )


def choose_query_encoder(
    settings: Settings,
    local: LocalQueryEncoder,
    decoders: DecoderPool,
    embed_remotely: EmbedRemotely | None,
    owner: Caller | None,
) -> QueryEncoder:
    """Return what embeds shoppers' images: the workers or the owner where they do, or we."""
    if embed_remotely is None:
        return local if owner is None else OwnerQueryEncoder(owner)
    return RemoteQueryEncoder(embed_remotely, decoders, seconds=settings.interactive_seconds)


def make_promoter(
    settings: Settings,
    db: Database,
    indexes: Indexes,
    query_encoder: QueryEncoder,
    heartbeat: Callable[[], None],
) -> Promoter:
    """Return what checks and promotes generations."""
    return Promoter(
        db=db,
        bounds=bounds_of(settings),
        configured=settings.named_embedder,
        index_of=indexes.of,
        query_encoder=query_encoder,
        point_alias=indexes.point_alias,
        heartbeat=heartbeat,
    )


def make_embedders(
    settings: Settings, db: Database, heartbeat: Callable[[], None]
) -> LoadedEmbedders:
    """Return the networks of this process; none is loaded yet."""
    return LoadedEmbedders(
        _compute(settings),
        heartbeat=heartbeat,
        read_statistics=lambda digest: statistics.read(db, digest),
    )


def make_reindex_jobs(
    settings: Settings,
    db: Database,
    promoter: Promoter,
    embedders: LoadedEmbedders,
    encoder: QueryEncoder,
    heartbeat: Callable[[], None],
) -> ReindexJobs:
    """Return what runs re-indexes; `encoder` says which embedder a spec names at the moment."""
    return ReindexJobs(
        db=db,
        promoter=promoter,
        configured=settings.named_embedder,
        identify=encoder.identify,
        embedder_of=embedders.of,
        has_workers=bool(settings.broker_url),
        heartbeat=heartbeat,
    )


def make_feed_runner(settings: Settings, db: Database, store: ImageStore) -> FeedRunner:
    """Return what fetches and imports feeds."""
    return FeedRunner(
        db=db,
        image_store=store,
        hosts=settings.hosts_of_feeds,
        limits=FeedLimits(max_bytes=settings.max_feed_bytes, seconds=settings.feed_seconds),
        folder=settings.data_dir.absolute() / "feeds",
        max_image_bytes=settings.max_image_bytes,
    )


def _compute(settings: Settings) -> Compute:
    return Compute(
        device=settings.device,
        precision=settings.precision,
        batch_size=settings.batch_size,
        threads=settings.pass_threads,
        engine=settings.engine,
        networks_dir=settings.networks_dir,
    )


def limits_of(settings: Settings) -> ImageLimits:
    """Return how large and how small an image may be."""
    return ImageLimits(
        max_bytes=settings.max_image_bytes,
        max_pixels=settings.max_image_pixels,
        max_side=settings.max_image_side,
        min_side=settings.min_image_side,
    )


def image_fetcher(settings: Settings, limits: ImageLimits) -> Callable[[str], bytes]:
    """Return what fetches a remote image from an allowed host."""
    return lambda uri: fetch.fetch(
        uri, hosts=settings.image_hosts, limits=limits, seconds=settings.fetch_seconds
    )


def query_fetcher(settings: Settings, limits: ImageLimits) -> Callable[[str], bytes]:
    """Return what fetches images of queries.

    It keeps outages of its own: a client who names addresses that hang must not make the indexing
    wait for their host.
    """
    outages = Outages(first_seconds=settings.retry_seconds)
    fetcher = image_fetcher(settings, limits)
    return lambda uri: guarded(outages, host_of(uri), lambda: fetcher(uri))
