"""Builds shards with a graph, one process at a time, and swaps them in."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import structlog

from backend.database.models import Generation, utcnow
from backend.errors import IndexUnavailable, LookalikeError
from backend.vectors.edge.build_process import BuildProcess
from backend.vectors.edge.folders import BuildFailure, BuildResult
from backend.vectors.edge.index import EdgeIndex
from backend.vectors.edge.policy import Policy

log = structlog.get_logger(__name__)

CHECK_EVERY_SECONDS: Final = 5.0
RETRY_SECONDS: Final = 600.0
"""A build that failed is tried again after this time, or at once when `start` is called."""


@dataclass(frozen=True)
class _Running:
    generation: Generation
    index: EdgeIndex
    build: BuildProcess


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
        """Only keep the arguments; `step` and `run` start builds.

        `shard_of` returns a generation's embedded index, `is_busy` tells whether more points are
        coming, `heartbeat` is called while points are copied to a new shard.
        """
        self.database_url = database_url
        self._policy = policy
        self._is_busy = is_busy
        self._threads = threads
        self._shard_of = shard_of
        self._heartbeat = heartbeat
        self._running: _Running | None = None
        self._checked_at = -CHECK_EVERY_SECONDS
        self._failed: dict[int, float] = {}  # generation -> when
        self._rejected: dict[int, object] = {}  # generation -> its shard, which needs no build
        self._outcomes: dict[int, BuildResult | LookalikeError] = {}  # generation -> last build

    @property
    def building(self) -> int | None:
        """The generation whose shard is being built."""
        return self._running.generation.id if self._running else None

    @property
    def build_process(self) -> BuildProcess | None:
        """The process that builds at the moment."""
        return self._running.build if self._running else None

    @property
    def progress(self) -> tuple[int, int | None]:
        """Steps done, and all steps: each point is read and linked; linking counts at its end."""
        if self._running is None or self._running.build.total is None:
            return 0, None
        return self._running.build.filled, 2 * self._running.build.total

    @property
    def is_time(self) -> bool:
        """Whether `step` would do anything now."""
        is_check_due = time.monotonic() - self._checked_at >= CHECK_EVERY_SECONDS
        return self._running is not None or is_check_due

    def step(self, live: Sequence[Generation]) -> None:
        """Start a build that is due, or swap in the shard of one that has ended."""
        if self._running:
            self._continue(self._running, live)
        elif self.is_time:
            self._checked_at = time.monotonic()
            if due := next((one for one in live if self._is_due(one)), None):
                self.start(due)

    def start(self, generation: Generation) -> None:
        """Start to build a generation's shard, whether it is due or not.

        Raises IndexUnavailable where there is no embedded shard, or while another is being built.
        """
        index = self._shard_of(generation)
        if index is None:
            raise IndexUnavailable("there is no embedded index here; a server optimizes its own")
        if self._running:
            raise IndexUnavailable(f"generation {self.building} is being optimized")
        request = {
            "database": self.database_url,
            "generation": generation.id,
            "schema": dict(index.schema),
            "options": asdict(index.options),
            "threads": self._threads,
        }
        self._outcomes.pop(generation.id, None)
        self._running = _Running(generation, index, self._start_process(generation, index, request))
        log.info("optimizing", generation=generation.id, process=self._running.build.pid)

    def _start_process(
        self, generation: Generation, index: EdgeIndex, request: dict[str, Any]
    ) -> BuildProcess:
        folder = index.store.begin_build()
        try:
            return BuildProcess(folder, request)
        except OSError as error:  # of the host: no memory, too many processes or open files
            reason = f"the builder cannot be started: {error}"
            self._note_failure(generation, index, folder, reason)
            raise IndexUnavailable(reason) from error

    def _note_failure(
        self, generation: Generation, index: EdgeIndex, folder: Path, reason: str
    ) -> None:
        self._failed[generation.id] = time.monotonic()
        failure = BuildFailure(at=utcnow().isoformat(timespec="seconds"), reason=reason)
        index.store.abandon_build(folder, failure=failure)

    def run(self, generation: Generation, *, meanwhile: Callable[[], None]) -> BuildResult:
        """Build a generation's shard, or wait for the build under way, and return its result.

        `meanwhile` is called again and again; it has to call `step`. Raises what `start` and
        `outcome` do.
        """
        while self.building not in (None, generation.id):
            meanwhile()  # another generation's build, which the policy started
        if self.building is None:
            self.start(generation)
        while self.building == generation.id:
            meanwhile()
        return self.outcome(generation.id)

    def outcome(self, generation_id: int) -> BuildResult:
        """Return the result of a generation's last build; raises the error that it ended with."""
        outcome = self._outcomes.get(generation_id)
        if outcome is None:
            raise IndexUnavailable("the build was stopped")
        if isinstance(outcome, LookalikeError):
            raise outcome
        return outcome

    def stop(self) -> None:
        """Kill a build that is under way; the next owner starts it again."""
        running, self._running = self._running, None
        if running:
            running.build.stop()
            running.index.store.abandon_build(running.build.folder)

    def _continue(self, running: _Running, live: Sequence[Generation]) -> None:
        if running.generation.id not in {one.id for one in live}:
            self.stop()  # this generation is no longer in use
            return
        if running.build.has_ended():
            self._running = None
            self._outcomes[running.generation.id] = self._finish(running)
            running.build.stop()

    def _finish(self, running: _Running) -> BuildResult | LookalikeError:
        """Swap in the new shard; an error is stored as the reason of the failure, and returned."""
        index, folder, number = running.index, running.build.folder, running.generation.id
        try:
            built = index.store.swap_in(folder, running.build.result(), heartbeat=self._heartbeat)
        except LookalikeError as error:
            log.warning("the graph is not built", generation=number, error=error.message)
            self._note_failure(running.generation, index, folder, error.message)
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
        seen = index, index.version, index.dirty, index.indexed
        if self._rejected.get(generation.id) == seen:
            return False
        points, dirty = index.count(), index.dirty if index.indexed else None
        if not self._policy.is_due(points=points, dirty=dirty, busy=False):
            self._rejected[generation.id] = seen
            return False
        return self._policy.is_due(points=points, dirty=dirty, busy=self._is_busy(generation))
