"""One round of work on the queue: embed what is most urgent, then apply what is embedded."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import AbstractContextManager
from datetime import timedelta
from types import TracebackType
from typing import Final, TypeAlias

import structlog

from backend import generations, indexing, queue
from backend.bootstrap import Services
from backend.database.models import Generation
from backend.embedders import Embedder
from backend.embedders.engines import by_openvino
from backend.errors import IndexDamaged, IndexGone, LookalikeError, ModelMismatch
from backend.indexing import EmbedOptions, verify
from backend.logs import Repeats
from backend.queue import REINDEX, SINGLE, Stage
from backend.vectors.edge.optimizer import Optimizer
from backend.worker.claim_size import ClaimSize
from backend.worker.run_log import IndexingLog

log = structlog.get_logger(__name__)
_repeats = Repeats(log, level="warning")

SINGLE_BATCHES: Final = 1
"""Batches of single writes per round and generation, besides the most urgent work."""

WARN_EVERY_SECONDS: Final = 60.0

OVERLAPPING: Final = 2
"""Passes at the same time on a CPU: its threads go on while one pass waits for its last thread, and
while its vectors are made. A GPU's memory may not hold two."""

APPLY_EVERY_SECONDS: Final = 0.5
"""How often the index is written while images are embedded: a larger claim costs less a row."""

_Waiting: TypeAlias = tuple[int, Generation]
"""(priority of what is most urgent, its generation)"""


class FirstError(AbstractContextManager[None]):
    """Logs an error of one generation, so that the work on the others goes on; keeps the first.

    One that comes back is logged once a minute.
    """

    def __init__(self) -> None:
        self.error: LookalikeError | None = None

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool:
        if not isinstance(error, LookalikeError):
            return False
        _repeats.log("work on one generation failed", error=error.message)
        self.error = self.error or error
        return True


class Rounds:
    """Works on all live generations, a round at a time. Call it from one thread.

    It embeds if this process may load a network, and applies if it may write the index.
    """

    def __init__(self, services: Services, optimizer: Optimizer) -> None:
        self._services = services
        self._optimizer = optimizer
        self._claim_size = ClaimSize()
        self._unreturned = queue.Unreturned()
        self._log = IndexingLog()
        self._warned_at: dict[int, float] = {}  # generation -> when
        self._lease = timedelta(seconds=services.settings.lease_seconds)

    def run_one(self, *, is_due: bool = True) -> bool:
        """Work on every generation; return whether there was anything to do.

        With `is_due` false nothing is asked of the queue: the caller knows that it is at rest. An
        error of one generation does not stop the others; it is raised if nothing was done.
        """
        self._services.heartbeat()
        self._unreturned.give_back(self._services.db)
        if not is_due and not self._optimizer.is_time:
            self._log.count_round(embedded=0, applied=0)
            return False
        with self._services.db.read() as session:
            live = generations.live(session)
        failed = FirstError()
        embedded, applied = self._work(live, failed) if is_due else (0, 0)
        if self._services.writes_index:
            with failed:
                self._optimizer.step(live)
        self._log.count_round(embedded=embedded, applied=applied)
        if failed.error and not embedded + applied:
            raise failed.error
        return embedded + applied > 0

    def _work(self, live: Sequence[Generation], failed: FirstError) -> tuple[int, int]:
        """Embed and apply what this process may; return both counts."""
        embedded = applied = 0
        waiting = self._waiting(live) if self._services.embeds else []
        if waiting and self._services.writes_index:
            embedded, applied = self._embed_and_apply(live, waiting, failed)
        elif waiting:
            embedded = self._embed_urgent(waiting, failed)
        if self._services.writes_index:
            applied += self._apply_all(live, failed)
        return embedded, applied

    def _embed_and_apply(
        self, live: Sequence[Generation], waiting: Sequence[_Waiting], failed: FirstError
    ) -> tuple[int, int]:
        """Embed in a thread, and apply meanwhile what it has done; return both counts.

        So that processors work on the next images while the index and SQL are written.
        """
        applied = 0
        with ThreadPoolExecutor(1, thread_name_prefix="round") as thread:
            embedding = thread.submit(self._embed_urgent, waiting, failed)
            while wait([embedding], APPLY_EVERY_SECONDS).not_done:
                applied += self._apply_all(live, failed)
            return embedding.result(), applied

    def _apply_all(self, live: Sequence[Generation], failed: FirstError) -> int:
        """Apply one claim of each generation; return how many rows were taken."""
        applied = 0
        for generation in live:
            with failed:
                applied += self.apply(generation)
        return applied

    def apply(self, generation: Generation) -> int:
        """Apply one claim; return how many rows were taken.

        Refills an index that is gone or damaged.
        """
        services = self._services
        index = services.indexes.of(generation)
        try:
            return indexing.apply_pending(
                services.db,
                generation,
                index,
                lease=self._lease,
                outages=services.outages,
                unreturned=self._unreturned,
            )
        except (IndexGone, IndexDamaged):
            verify.refill(
                services.db,
                generation,
                index_of=services.indexes.of,
                close_index=services.indexes.close,
            )
            raise

    def _waiting(self, live: Sequence[Generation]) -> list[_Waiting]:
        """Return the generations that have something to embed, with its priority."""
        with self._services.db.read() as session:
            first = [(queue.first_due(session, one.id, Stage.EMBED), one) for one in live]
        return [(priority, one) for priority, one in first if priority is not None]

    def _embed_urgent(self, waiting: Sequence[_Waiting], failed: FirstError) -> int:
        """Embed single writes of all generations, then one claim of what is most urgent.

        So a new product waits neither for an import of a million products nor for a re-index.
        """
        able = [pair for pair in waiting if self._has_embedder(pair[1])]
        singles = [one for priority, one in able if priority == SINGLE]
        urgent = [one for _, one in sorted(able, key=lambda pair: pair[0])]
        taken = 0
        for generation in singles:
            with failed:
                taken += self._embed(generation, batches=SINGLE_BATCHES, up_to=SINGLE)
        for generation in urgent:
            with failed:
                if count := self._embed_claim(generation):
                    return taken + count
        return taken

    def _embed_claim(self, generation: Generation) -> int:
        """Embed one claim of what is most urgent, and learn how long it took."""
        began, batches = time.monotonic(), self._claim_size.batches
        taken = self._embed(generation, batches=batches)
        if taken >= batches * self._services.embedders.of(generation).batch_size:
            self._claim_size.learn(time.monotonic() - began)
        return taken

    def _has_embedder(self, generation: Generation) -> bool:
        """Tell whether the embedder of a generation can be loaded here.

        An upgrade may have replaced it. Then only its pending products wait, for the next
        generation.
        """
        try:
            self._services.embedders.of(generation)
        except ModelMismatch as error:
            self._warn(generation, error)
            return False
        return True

    def _warn(self, generation: Generation, error: ModelMismatch) -> None:
        if time.monotonic() < self._warned_at.get(generation.id, 0) + WARN_EVERY_SECONDS:
            return
        self._warned_at[generation.id] = time.monotonic()
        log.warning(
            "products wait for an embedder that is not here",
            generation=generation.id,
            error=error.message,
            run=f"lookalike reindex --embedder '{self._services.settings.embedder}'",
        )

    def _embed(self, generation: Generation, *, batches: int, up_to: int = REINDEX) -> int:
        embedder = self._services.embedders.of(generation)
        generations.store_blocks(self._services.db, generation, embedder.blocks)
        return indexing.embed_pending(
            self._services.db,
            generation,
            embedder=embedder,
            image_opener=self._services.image_opener,
            options=self._options(embedder, batches=batches),
            up_to=up_to,
        )

    def _options(self, embedder: Embedder, *, batches: int) -> EmbedOptions:
        settings = self._services.settings
        return EmbedOptions(
            claim_size=batches * embedder.batch_size,
            batch_size=embedder.batch_size,
            passes=OVERLAPPING if by_openvino(self._services.embedders.compute) else 1,
            lease=self._lease,
            max_failures=settings.max_failures,
            retry=timedelta(seconds=settings.retry_seconds),
            image_wait=timedelta(hours=settings.image_wait_hours),
            heartbeat=self._services.heartbeat,
            outages=self._services.outages,
            unreturned=self._unreturned,
        )
