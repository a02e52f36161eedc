"""The composition root: settings -> services. The only module that names concrete adapters."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import fields
from datetime import timedelta
from typing import TYPE_CHECKING, Final, Literal

from backend import generations
from backend.database import migrate
from backend.database.engine import Database
from backend.database.models import Generation
from backend.embedders import Compute, Embedder, FloatArray
from backend.embedders.loaded import LoadedEmbedders
from backend.errors import ConfigurationError, EmbedderBusy, IndexGone, IndexUnavailable
from backend.images import fetch
from backend.images.decoder_pool import DecoderPool
from backend.images.limits import ImageLimits
from backend.images.open_images import ImageOpener
from backend.images.store import ImageStore
from backend.indexing import EmbedOptions, schema
from backend.queue import is_busy
from backend.reindex import Promoter, ReindexJobs, bounds_of
from backend.search.query_image import (
    EmbedRemotely,
    LocalQueryEncoder,
    QueryEncoder,
    RemoteQueryEncoder,
    sample_image,
)
from backend.search.recall_monitor import RecallMonitor
from backend.settings import Settings
from backend.vectors import VectorIndex
from backend.vectors.edge import folders
from backend.vectors.edge.folders import Shard
from backend.vectors.edge.index import EdgeIndex
from backend.vectors.edge.optimizer import Optimizer
from backend.vectors.edge.owner import Owner
from backend.vectors.edge.policy import Policy
from backend.vectors.edge.shard import ShardOptions

if TYPE_CHECKING:
    from backend.vectors.server.collection import Connect

WORKER_LOADS_SECONDS: Final = 60
"""How long an interactive worker may take until it has loaded a network that is new to it."""


class Services:
    """What one process works with. Everything expensive is opened on first use."""

    def __init__(
        self,
        settings: Settings,
        *,
        notify: Callable[[], None],
        heartbeat: Callable[[], None],
        embed_remotely: EmbedRemotely | None,
        embeds: bool,
    ) -> None:
        self.settings = settings
        self.notify = notify
        self.heartbeat = heartbeat
        self.embeds = embeds
        self.compute = _compute(settings)
        self.embedders = LoadedEmbedders(self.compute)
        self.db = _database(settings)
        self.image_store = ImageStore(settings.image_store_url)
        self.limits = ImageLimits(
            max_bytes=settings.max_image_bytes,
            max_pixels=settings.max_image_pixels,
            max_side=settings.max_image_side,
            min_side=settings.min_image_side,
        )
        self.decoders = DecoderPool(
            settings.decoders, limits=self.limits, seconds=settings.decode_seconds
        )
        self.image_opener = ImageOpener(self.image_store, self.decoders, fetch=self._fetch)
        self.owner = Owner(settings.data_dir)
        self.recall = RecallMonitor(
            self.db, schema=schema(settings.facets), rate=settings.recall_sample
        )
        self._embed_remotely = embed_remotely
        self.encode = self._encoder(embed_remotely)
        self._opening = threading.Lock()
        self._indexes: dict[str, VectorIndex] = {}
        self._dropped: set[str] = set()

    def _fetch(self, uri: str) -> bytes:
        """Fetch a remote image, from an allowed host."""
        return fetch.fetch(
            uri,
            hosts=self.settings.image_hosts,
            limits=self.limits,
            seconds=self.settings.fetch_seconds,
        )

    def _encoder(self, embed_remotely: EmbedRemotely | None) -> QueryEncoder:
        if embed_remotely is None:
            return LocalQueryEncoder(self.embedder_of, self.decoders)
        return RemoteQueryEncoder(
            embed_remotely,
            self.decoders,
            limits=self.limits,
            seconds=self.settings.interactive_seconds,
        )

    @property
    def writes_index(self) -> bool:
        """Whether this process may write the index: a server's always, a shard as its owner."""
        return self.settings.qdrant_url is not None or self.owner.is_here

    def embed_options(self, embedder: Embedder, *, batches: int) -> EmbedOptions:
        """Return how this process works off a claim of some batches."""
        return EmbedOptions(
            claim_size=batches * embedder.batch_size,
            batch_size=embedder.batch_size,
            lease=self.lease,
            max_failures=self.settings.max_failures,
            retry=timedelta(seconds=self.settings.retry_seconds),
            heartbeat=self.heartbeat,
        )

    @property
    def lease(self) -> timedelta:
        """How long a claim is held."""
        return timedelta(seconds=self.settings.lease_seconds)

    def embedder(self, spec: str | None = None) -> Embedder:
        """Return the embedder of a spec (default: the settings'), loaded once per process."""
        return self.embedders.named(spec or self.settings.embedder)

    def embedder_of(self, generation: Generation) -> Embedder:
        """Return the embedder that built a generation; raises ModelMismatch if it is not here."""
        return self.embedders.exactly(generation.embedder, generation.fingerprint)

    def encoder_now(self, spec: str) -> generations.EmbedderIdentity:
        """Return what a spec means now: its weights are read again, here or by a worker.

        Raises what `embedders.load` raises, EmbedderBusy when no worker answers.
        """
        if self.embeds:
            embedder = self.embedders.anew(spec)
            return generations.EmbedderIdentity(
                spec=spec, fingerprint=embedder.fingerprint, size=embedder.size
            )
        vector, fingerprint = self._ask_worker(spec)
        return generations.EmbedderIdentity(spec=spec, fingerprint=fingerprint, size=len(vector))

    def check_query_encoder(self, generation: Generation) -> None:
        """Have a picture embedded where shoppers' pictures are, for a generation.

        Raises ModelMismatch or EmbedderBusy when that does not work.
        """
        if self._embed_remotely is None:
            self.encode(generation, sample_image())
        else:
            generations.check_fingerprint(generation, self._ask_worker(generation.embedder)[1])

    def _ask_worker(self, spec: str) -> tuple[FloatArray, str]:
        """Have a worker embed a picture; it may have to load the network first."""
        if self._embed_remotely is None:
            raise EmbedderBusy("there is no worker to ask")
        deadline = time.monotonic() + WORKER_LOADS_SECONDS
        while True:
            self.heartbeat()
            try:
                return self._embed_remotely(
                    sample_image(), spec=spec, seconds=self.settings.interactive_seconds
                )
            except EmbedderBusy as error:
                if "cause" in error.context or time.monotonic() > deadline:
                    raise

    def embed_picture(self, data: bytes, spec: str) -> tuple[FloatArray, str]:
        """Embed one untrusted picture here: its vector, and the embedder's fingerprint.

        Raises ImageError, and what `embedders.load` raises.
        """
        embedder = self.embedder(spec)
        picture = self.decoders.decode_one(data, target=embedder.input_size).image
        return embedder.embed([picture])[0], embedder.fingerprint

    def index_of(self, generation: Generation) -> VectorIndex:
        """Return a generation's index. An embedded one is opened by its owner alone.

        Raises IndexGone after `drop_index`.
        """
        with self._opening:
            if generation.collection in self._dropped:  # or it would be made again, and be empty
                raise IndexGone(f"the index of generation {generation.id} was dropped")
            if generation.collection not in self._indexes:
                self._indexes[generation.collection] = _index(self.settings, generation)
            return self._indexes[generation.collection]

    def close_index(self, generation: Generation) -> None:
        """Let go of a generation's index, which may be gone; the next use opens it anew."""
        with self._opening:
            index = self._indexes.pop(generation.collection, None)
        if index is not None:
            with suppress(IndexUnavailable):  # what is gone cannot be flushed
                index.close()

    def shard_of(self, generation: Generation) -> EdgeIndex | None:
        """Return a generation's embedded index, None where a server holds it."""
        index = self.index_of(generation)
        return index if isinstance(index, EdgeIndex) else None

    def look_at_shard(self, generation: Generation) -> Shard | None:
        """Return what is known of a generation's embedded index, whoever owns it."""
        if self.settings.qdrant_url:
            return None
        return folders.look(self.settings.index_dir / generation.collection)

    def optimizer(self) -> Optimizer:
        """Return what gives the embedded indexes of this process their graphs."""
        settings = self.settings
        return Optimizer(
            database_url=settings.database,
            policy=Policy(points=settings.optimize_points, dirty=settings.optimize_dirty),
            threads=settings.optimize_threads,
            shard_of=self.shard_of,
            is_busy=lambda generation: is_busy(self.db, generation.id),
            heartbeat=self.heartbeat,
        )

    def promoter(self) -> Promoter:
        """Return what promotes generations and rolls back in this process."""
        return Promoter(
            db=self.db,
            bounds=bounds_of(self.settings),
            embedder=self.settings.embedder,
            index_of=self.index_of,
            check_query_encoder=self.check_query_encoder,
            point_alias=self.point_alias,
            heartbeat=self.heartbeat,
        )

    def reindex_jobs(self) -> ReindexJobs:
        """Return what runs the jobs of re-indexing in this process."""
        return ReindexJobs(
            db=self.db,
            promoter=self.promoter(),
            embedder=self.settings.embedder,
            encoder_now=self.encoder_now,
            embedder_of=self.embedder_of,
            has_workers=bool(self.settings.broker_url),
            heartbeat=self.heartbeat,
        )

    def first_generation(self) -> Generation:
        """Return the active generation, started with the settings' embedder if there is none."""
        encoder = self.embedder()
        return generations.ensure_first(
            self.db,
            generations.EmbedderIdentity(
                spec=self.settings.embedder, fingerprint=encoder.fingerprint, size=encoder.size
            ),
            configured=self.settings.embedder,
        )

    def drop_index(self, generation: Generation) -> None:
        """Delete a generation's index with all it holds, for good."""
        with self._opening:
            index = self._indexes.pop(generation.collection, None)
            self._dropped.add(generation.collection)
        index = index or _index(self.settings, generation)
        index.drop()

    def point_alias(self, generation: Generation) -> None:
        """Name a server's active collection to outsiders; an embedded index has none."""
        if self.settings.qdrant_url:
            from backend.vectors.server.collection import point_alias  # noqa: PLC0415

            connect = _connector(self.settings)
            point_alias(connect, self.settings.qdrant_alias, generation.collection)

    def close(self) -> None:
        """Flush and let go of everything."""
        with self._opening:
            for index in self._indexes.values():
                index.close()
            self._indexes.clear()
        self.decoders.close()
        self.owner.release()
        self.db.close()


def _nothing() -> None:
    """Nobody listens."""


def build(
    settings: Settings,
    *,
    notify: Callable[[], None] = _nothing,
    heartbeat: Callable[[], None] = _nothing,
    embed_remotely: EmbedRemotely | None = None,
    embeds: bool | None = None,
) -> Services:
    """Build the services. An embedded database is migrated; another one has to be current.

    `notify` is called after every write that makes work due, `heartbeat` at every step of the
    work. With `embed_remotely` a shopper's image goes to the workers, and this process loads no
    network, unless it `embeds` products all the same. Raises ConfigurationError when a database
    server lacks a migration.
    """
    services = Services(
        settings,
        notify=notify,
        heartbeat=heartbeat,
        embed_remotely=embed_remotely,
        embeds=embed_remotely is None if embeds is None else embeds,
    )
    if services.db.is_sqlite:
        migrate.migrate(services.db)
    elif not migrate.is_current(services.db):
        raise ConfigurationError("the database lacks a migration: run `lookalike migrate`")
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


def _index(settings: Settings, generation: Generation) -> VectorIndex:
    indexed = schema(settings.facets)
    if not settings.qdrant_url:
        folder = settings.index_dir / generation.collection
        return EdgeIndex(
            folder,
            size=generation.size,
            schema=indexed,
            options=_shard_options(settings, generation),
        )
    # Only here: qdrant-client takes a second to import, which the embedded default need not pay.
    from backend.vectors.server.collection import ServerOptions  # noqa: PLC0415
    from backend.vectors.server.index import ServerIndex  # noqa: PLC0415

    return ServerIndex(
        generation.collection,
        size=generation.size,
        schema=indexed,
        connect=_connector(settings),
        options=ServerOptions(
            on_disk=settings.qdrant_on_disk,
            quantization=_quantization(settings, generation),
            shard_number=settings.qdrant_shards,
            replication_factor=settings.qdrant_replicas,
            hnsw_m=generation.index_options.get("hnsw_m"),
            hnsw_ef_construct=generation.index_options.get("hnsw_ef_construct"),
        ),
    )


def _shard_options(settings: Settings, generation: Generation) -> ShardOptions:
    names = {field.name for field in fields(ShardOptions)}
    options = {name: it for name, it in generation.index_options.items() if name in names}
    return ShardOptions(**options, quantization=_quantization(settings, generation))


def _quantization(settings: Settings, generation: Generation) -> Literal["int8"] | None:
    chosen = generation.quantization or settings.qdrant_quantization
    return "int8" if chosen == "int8" else None


def _connector(settings: Settings) -> Connect:
    from backend.vectors.server.collection import connector  # noqa: PLC0415

    return connector(
        str(settings.qdrant_url),
        api_key=settings.qdrant_api_key,
        grpc_port=settings.qdrant_grpc_port,
    )


def _compute(settings: Settings) -> Compute:
    return Compute(
        device=settings.device,
        precision=settings.precision,
        batch_size=settings.batch_size,
        threads=settings.torch_threads,
    )
