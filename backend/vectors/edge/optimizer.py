"""Sees builds through: one process at a time, then the swap."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Final

import structlog

from backend.database.models import Generation, utcnow
from backend.errors import IndexUnavailable, LookalikeError
from backend.vectors.edge.build_process import Build
from backend.vectors.edge.folders import Built, Failure
from backend.vectors.edge.index import EdgeIndex
from backend.vectors.edge.policy import Policy

log = structlog.get_logger(__name__)

LOOK_EVERY_SECONDS: Final = 5.0
RETRY_SECONDS: Final = 600.0
"""A build that failed is tried again so much later, or at once when somebody asks."""


@dataclass(frozen=True)
class _Running:
    generation: Generation
    index: EdgeIndex
    build: Build


class Optimizer:
    """Keeps the embedded shards of one process optimized. Call it from one thread."""

    def __init__(
        self,
        *,
        database_url: str,
        policy: Policy,
        threads: int,
        shard_of: Callable[[Generation], EdgeIndex | None],
        is_busy: Callable[[Generation], bool],
        heartbeat: Callable[[], None] = lambda: None,
    ) -> None:
        """Take what builds need.

        `shard_of` returns a generation's embedded index, `is_busy` tells whether more points are
        coming, `heartbeat` is called while an index catches up.
        """
        self._database_url = database_url
        self._policy = policy
        self._is_busy = is_busy
        self._threads = threads
        self._shard_of = shard_of
        self._heartbeat = heartbeat
        self._running: _Running | None = None
        self._looked = -LOOK_EVERY_SECONDS
        self._failed: dict[int, float] = {}  # generation -> when
        self._outcomes: dict[int, Built | LookalikeError] = {}  # of each generation's last build

    @property
    def building(self) -> int | None:
        """The generation whose shard is being built."""
        return self._running.generation.id if self._running else None

    @property
    def build(self) -> Build | None:
        """The process that builds now."""
        return self._running.build if self._running else None

    @property
    def progress(self) -> tuple[int, int | None]:
        """How far the build is: each point is read, then linked, which is only seen at its end."""
        if self._running is None or self._running.build.total is None:
            return 0, None
        return self._running.build.filled, 2 * self._running.build.total

    def step(self, live: Sequence[Generation]) -> None:
        """Start a build that is due, or put one that has ended in its place."""
        if self._running:
            self._go_on(self._running, live)
        elif time.monotonic() - self._looked >= LOOK_EVERY_SECONDS:
            self._looked = time.monotonic()
            due = next((one for one in live if self._is_due(one)), None)
            if due:
                self.start(due)

    def start(self, generation: Generation) -> None:
        """Start to build a generation's shard, whether it is due or not.

        Raises IndexUnavailable where there is no embedded shard, or while another is being built.
        """
        index = self._shard_of(generation)
        if index is None:
            raise IndexUnavailable("there is no embedded index here: a server optimizes by itself")
        if self._running:
            raise IndexUnavailable(f"generation {self.building} is being optimized")
        orders = {
            "database": self._database_url,
            "generation": generation.id,
            "schema": dict(index.schema),
            "options": asdict(index.options),
            "threads": self._threads,
        }
        self._outcomes.pop(generation.id, None)
        self._running = _Running(generation, index, Build(index.begin_build(), orders))
        log.info("optimizing", generation=generation.id, process=self._running.build.pid)

    def run(self, generation: Generation, *, meanwhile: Callable[[], None]) -> Built:
        """Build a generation's shard and wait; `meanwhile` is called again and again, and steps.

        One that is being built already is waited for. Raises what `start` and `outcome` do.
        """
        while self.building not in (None, generation.id):
            meanwhile()  # another one's build, which the policy began
        if self.building is None:
            self.start(generation)
        while self.building == generation.id:
            meanwhile()
        return self.outcome(generation.id)

    def outcome(self, generation_id: int) -> Built:
        """Return what came of the last build of a generation; raises what went wrong with it."""
        outcome = self._outcomes.get(generation_id)
        if outcome is None:
            raise IndexUnavailable("the build was given up")
        if isinstance(outcome, LookalikeError):
            raise outcome
        return outcome

    def stop(self) -> None:
        """End a build that is under way; the next owner starts it anew."""
        running, self._running = self._running, None
        if running:
            running.build.stop()
            running.index.abandon(running.build.folder)

    def _go_on(self, running: _Running, live: Sequence[Generation]) -> None:
        if running.generation.id not in {one.id for one in live}:
            self.stop()  # nobody will ask this index any more
            return
        if running.build.has_ended():
            self._running = None
            self._outcomes[running.generation.id] = self._finish(running)
            running.build.stop()

    def _finish(self, running: _Running) -> Built | LookalikeError:
        """Put what was built in its place; what keeps it from that is noted, and returned."""
        index, folder, number = running.index, running.build.folder, running.generation.id
        try:
            built = index.adopt(folder, running.build.built(), heartbeat=self._heartbeat)
        except LookalikeError as error:
            log.warning("not optimized", generation=number, error=error.message)
            self._failed[number] = time.monotonic()
            failure = Failure(at=utcnow().isoformat(timespec="seconds"), reason=error.message)
            index.abandon(folder, failure=failure)
            return error
        log.info("optimized", generation=number, **asdict(built))
        return built

    def _is_due(self, generation: Generation) -> bool:
        failed = self._failed.get(generation.id)
        if failed is not None and time.monotonic() - failed < RETRY_SECONDS:
            return False
        index = self._shard_of(generation)
        if index is None:
            return False
        return self._policy.is_due(
            points=index.count(),
            dirty=index.dirty if index.indexed else None,
            busy=self._is_busy(generation),
        )
