"""The composition root: settings -> services. Only the entry points (api, cli, worker) take them.

All other code takes the few objects and functions that it uses, never the services.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import make_url

from backend import generations
from backend.access.signing_key import SigningKey
from backend.adaptation import stored as statistics
from backend.calls import Caller
from backend.database import arrival, failures
from backend.database.arrival import Arrival
from backend.database.engine import Database
from backend.database.models import Generation
from backend.embedders import Compute
from backend.embedders.loaded import LoadedEmbedders
from backend.errors import ConfigurationError, LookalikeError
from backend.events.answers import AnswerLog
from backend.feeds.download import FeedLimits
from backend.feeds.importing import FeedRunner
from backend.generations import EmbedderIdentity
from backend.images import fetch
from backend.images.addresses import host_of
from backend.images.decoder_pool import DecoderPool
from backend.images.guard import guarded
from backend.images.limits import ImageLimits
from backend.images.open_images import ImageOpener
from backend.images.store import ImageStore
from backend.indexing import schema
from backend.outages import Outages
from backend.recommendations.complementary import Complementary
from backend.recommendations.recommend import Recommender
from backend.recommendations.together import Together
from backend.reindex import Promoter, ReindexJobs, bounds_of
from backend.search.coverage import CoverageMonitor
from backend.search.owner_encoder import OwnerQueryEncoder
from backend.search.query_image import (
    EmbedRemotely,
    LocalQueryEncoder,
    QueryEncoder,
    RemoteQueryEncoder,
)
from backend.search.query_text import TextEncoder
from backend.search.recall_monitor import RecallMonitor
from backend.search.similar import SimilarProducts
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
    arrival: Arrival  # of the database
    owner: Owner  # the lock of the embedded index
    indexes: Indexes
    limits: ImageLimits
    image_store: ImageStore
    decoders: DecoderPool
    image_opener: ImageOpener
    fetch_image: Callable[[str], bytes]  # an image of a query, by its address; raises ImageError
    embedders: LoadedEmbedders
    local_encoder: LocalQueryEncoder  # embeds images in this process
    query_encoder: QueryEncoder  # embeds shoppers' images, here or in a worker
    outages: Outages  # what does not work at the moment
    similar: SimilarProducts
    recall: RecallMonitor
    coverage: CoverageMonitor
    promoter: Promoter
    reindex_jobs: ReindexJobs
    feeds: FeedRunner
    together: Together
    complementary: Complementary
    recommender: Recommender
    answer_log: AnswerLog
    signing_key: SigningKey

    @property
    def writes_index(self) -> bool:
        """Whether this process may write the index: a server's always, a shard as its owner."""
        return self.settings.qdrant_url is not None or self.owner.is_here

    def store_problems(self) -> dict[str, str | None]:
        """Return {store: why it is not asked now}, None where it is."""
        return {
            "database": self.db.problem(),
            "images": self.image_store.problem(),
            "index": self.indexes.problem(),
        }

    def first_generation(self) -> Generation:
        """Return the active generation, started with the settings' embedder if there is none.

        Where the settings name no embedder, that of the active generation stays.
        """
        configured = self.settings.named_embedder
        with self.db.read() as session:
            current = generations.active_or_none(session)
        if current is None or configured is not None:
            spec = self.settings.embedder
            identity = EmbedderIdentity.of(spec, self.embedders.named(spec))
            return generations.ensure_first(self.db, identity, configured=configured)
        with suppress(LookalikeError):  # its products wait, and the worker says why
            embedder = self.embedders.of(current)
            generations.store_blocks(self.db, current, embedder.blocks)
        generations.backfill(self.db, current.id)
        return current

    def close(self) -> None:
        """Flush and close everything."""
        self.answer_log.close()
        self.together.close()
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
    owner: Caller | None = None,
    wait: bool = False,
) -> Services:
    """Build the services. An embedded database is migrated; another one has to be current.

    With `wait`, a database server that does not answer is no error; `services.arrival` can wait
    for it.

    With `embed_remotely` the workers embed shoppers' images, and this process loads no network
    unless it `embeds` products. With `owner`, that process does it, and is asked for the embedded
    index, which it owns. Raises ConfigurationError when a database server lacks a migration.
    """
    is_alone = embed_remotely is None and owner is None
    embeds = is_alone if embeds is None else embeds
    db, indexed = _database(settings), schema(settings.facets)
    outages = Outages(first_seconds=settings.retry_seconds)
    indexes = Indexes(settings, schema=indexed, owner=owner)
    embedders = _embedders(settings, db, heartbeat)
    limits, store = _limits(settings), ImageStore(settings.image_store_url)
    decoders = _decoders(settings, limits)
    local_encoder = LocalQueryEncoder(embedders, decoders)
    query_encoder = _query_encoder(settings, local_encoder, decoders, embed_remotely, owner)
    promoter = _promoter(settings, db, indexes, query_encoder, heartbeat)
    services = Services(
        settings=settings,
        notify=notify,
        heartbeat=heartbeat,
        embeds=embeds,
        db=db,
        arrival=Arrival(db),
        owner=Owner(settings.data_dir),
        indexes=indexes,
        limits=limits,
        image_store=store,
        decoders=decoders,
        image_opener=ImageOpener(
            store, decoders, fetch=_fetcher(settings, limits), outages=outages
        ),
        fetch_image=query_fetcher(settings, limits),
        embedders=embedders,
        local_encoder=local_encoder,
        query_encoder=query_encoder,
        outages=outages,
        similar=SimilarProducts(db, indexes.of, TextEncoder(db).encode, indexed),
        recall=RecallMonitor(db, schema=indexed, rate=settings.recall_sample),
        coverage=CoverageMonitor(db, indexes.of),
        promoter=promoter,
        reindex_jobs=_reindex_jobs(
            settings, db, promoter, embedders, local_encoder if embeds else query_encoder, heartbeat
        ),
        feeds=_feed_runner(settings, db, store),
        together=Together(db, indexes.of, keeps=not db.is_read_only),
        complementary=Complementary(db, indexes.of),
        recommender=Recommender(indexes.of),
        answer_log=AnswerLog(db, most=settings.answers_kept),
        signing_key=SigningKey(db),
    )
    _prepare(services, wait=wait)
    return services


def _prepare(services: Services, *, wait: bool) -> None:
    """Check the database now; with `wait`, leave one that does not answer to the caller."""
    try:
        if wait:
            services.arrival.try_once()
        else:
            arrival.check(services.db)
    except BaseException:
        services.close()
        raise


def _database(settings: Settings) -> Database:
    if settings.database.startswith("sqlite"):
        _check_not_lost(settings)
        return Database(settings.database)
    return Database(
        settings.database,
        pool_size=settings.db_pool_size,
        max_overflow=settings.db_pool_overflow,
        connect_args={"connect_timeout": settings.db_connect_seconds},
    )


def explain(error: BaseException, settings: Settings) -> str | None:
    """Say in one line what failed, where, and what to do; None for a fault of the program."""
    url = make_url(settings.database)
    place = (
        url.database if url.get_backend_name() == "sqlite" else f"at {url.host}:{url.port or 5432}"
    )
    return failures.explain(error, database=str(place))


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


def _decoders(settings: Settings, limits: ImageLimits) -> DecoderPool:
    return DecoderPool(
        settings.decoders,
        limits=limits,
        seconds=settings.decode_seconds,
        wait_seconds=settings.decode_seconds,
    )


def _query_encoder(
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


def _promoter(
    settings: Settings,
    db: Database,
    indexes: Indexes,
    query_encoder: QueryEncoder,
    heartbeat: Callable[[], None],
) -> Promoter:
    return Promoter(
        db=db,
        bounds=bounds_of(settings),
        configured=settings.named_embedder,
        index_of=indexes.of,
        query_encoder=query_encoder,
        point_alias=indexes.point_alias,
        heartbeat=heartbeat,
    )


def _embedders(settings: Settings, db: Database, heartbeat: Callable[[], None]) -> LoadedEmbedders:
    return LoadedEmbedders(
        _compute(settings),
        heartbeat=heartbeat,
        read_statistics=lambda digest: statistics.read(db, digest),
    )


def _reindex_jobs(
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


def _feed_runner(settings: Settings, db: Database, store: ImageStore) -> FeedRunner:
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


def query_fetcher(settings: Settings, limits: ImageLimits) -> Callable[[str], bytes]:
    """Return what fetches images of queries.

    It keeps outages of its own: a client who names addresses that hang must not make the indexing
    wait for their host.
    """
    outages, fetcher = Outages(first_seconds=settings.retry_seconds), _fetcher(settings, limits)
    return lambda uri: guarded(outages, host_of(uri), lambda: fetcher(uri))
