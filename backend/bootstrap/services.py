"""What one process works with."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from backend import generations
from backend.access.signing_key import SigningKey
from backend.database.arrival import Arrival
from backend.database.engine import Database
from backend.database.models import Generation
from backend.embedders.loaded import LoadedEmbedders
from backend.errors import LookalikeError
from backend.events.answers import AnswerLog
from backend.feeds.importing import FeedRunner
from backend.generations import EmbedderIdentity
from backend.images.decoder_pool import DecoderPool
from backend.images.limits import ImageLimits
from backend.images.open_images import ImageOpener
from backend.images.store import ImageStore
from backend.outages import Outages
from backend.recommendations.complementary import Complementary
from backend.recommendations.recommend import Recommender
from backend.recommendations.together import Together
from backend.reindex import Promoter, ReindexJobs
from backend.search.coverage import CoverageMonitor
from backend.search.query_image import LocalQueryEncoder, QueryEncoder
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
