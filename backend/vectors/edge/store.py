"""The shard in use: opened by the first call, and replaced while it is searched and written.

- The engine holds the GIL through every call, loading and closing included.
- After a fork, an open shard hangs in the child. So the shard is opened by the first call, and a
  child that inherits an open one gets an error.
- A call ends on the shard that it began with. A replaced shard is closed and deleted when its last
  call has ended.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Final

import qdrant_edge as qe
import structlog
from filelock import FileLock, Timeout

from backend.errors import ConfigurationError, IndexGone, IndexLocked, IndexUnavailable
from backend.filters import Schema
from backend.vectors.edge.copy import copy_points, differing_ids, scroll_claims
from backend.vectors.edge.folders import (
    BuildFailure,
    BuildResult,
    StoreState,
    read_state,
    remove,
    remove_leftovers,
    write_state,
)
from backend.vectors.edge.handle import Handle
from backend.vectors.edge.shard import (
    check_space,
    damage_named,
    engine_errors,
    is_engines,
    translated,
)

log = structlog.get_logger(__name__)

LAST_PASS: Final = 256
"""Points that may be left for the last pass, during which writers wait: a few milliseconds."""

PASSES: Final = 20
"""The most passes before the last one, even if much is written meanwhile."""


class EdgeStore:
    """The shards of one generation, of which one is in use.

    A second owner, in this process or another, gets IndexLocked; one that inherited the open store
    through a fork gets ConfigurationError.
    """

    def __init__(
        self,
        path: Path,
        *,
        size: int,
        schema: Schema,
        tokens: bool = False,
        written: Callable[[Collection[int]], None] = lambda _ids: None,
    ) -> None:
        """Open nothing. `written` is called with the ids of points after each write of them."""
        self._path = path  # opened only by the owner of its lock
        self._size = size
        self._schema = schema
        self._tokens = tokens
        self._on_written = written
        self._lock = threading.RLock()  # for opening, closing, replacing and writing
        self._file_lock: FileLock | None = None
        self._handle: Handle | None = None
        self._state = StoreState()
        self._written = 0  # calls that have ended
        self._journal: set[int] | None = None  # ids written since a build began
        self._closed = False
        self._gone = False

    # --- using ---

    @contextmanager
    def using(self) -> Iterator[qe.EdgeShard]:
        """Give the shard for one call, and translate the engine's errors."""
        handle = self._opened()
        while not handle.enter():
            handle = self._opened()
        try:
            with engine_errors():
                yield handle.shard
        finally:
            handle.leave()

    def query(self, request: qe.QueryRequest) -> list[qe.ScoredPoint]:
        """Search the shard, as a call in `using` does, with less around it."""
        handle = self._opened()
        while not handle.enter():
            handle = self._opened()
        try:
            return handle.shard.query(request)
        except BaseException as error:
            if not is_engines(error):
                raise
            raise translated(str(error)) from error
        finally:
            handle.leave()

    @contextmanager
    def writing(self, ids: Collection[int]) -> Iterator[qe.EdgeShard]:
        """Give the shard for writing these points, to one thread at a time.

        Raises IndexUnavailable before the disk is full.
        """
        with self._lock, self.using() as shard:
            self.check_folder()
            check_space(self._path)
            if self._journal is not None:
                self._journal.update(ids)
            self._opened().writes.add(ids)
            try:
                yield shard
            finally:
                self._written += 1
                self._on_written(ids)

    def check_folder(self) -> None:
        """Raise IndexGone when the folder was removed: the open shard would still answer."""
        folder = self._opened().folder
        if not (folder / "segments").is_dir():
            raise IndexGone(f"the embedded index has lost its folder {folder}")

    @property
    def indexed(self) -> bool:
        """Whether the shard has a graph."""
        return self._opened().indexed

    @property
    def version(self) -> int:
        """What has changed after each write: only this process writes the shard."""
        return self._written

    @property
    def dirty(self) -> int:
        """How many points were written since the shard was built."""
        return self._opened().writes.count

    # --- replacing ---

    def begin_build(self) -> Path:
        """Return the folder for a new shard, and record from now on which points are written.

        Raises IndexUnavailable while another build is under way.
        """
        self._opened()
        with self._lock:
            if self._journal is not None:
                raise IndexUnavailable("an optimized shard is being built already")
            self._journal = set()
            return self._path / self._state.next_folder

    def abandon_build(self, folder: Path, *, failure: BuildFailure | None = None) -> None:
        """Remove a build, whose process has ended, and store why it failed."""
        with self._lock:
            self._journal = None
            if self._closed or folder.name == self._state.folder:
                return  # the next owner removes it
            remove(folder)
            if failure:
                with suppress(IndexUnavailable):  # such as a full disk, which made the build fail
                    self._write_state(replace(self._state, failure=failure))

    def swap_in(
        self, folder: Path, built: BuildResult, *, heartbeat: Callable[[], None] = lambda: None
    ) -> BuildResult:
        """Use the shard that was built in a folder, after copying to it what it lacks.

        Queries wait only while the engine loads the new shard, writers also during the last pass.
        Returns `built` with the time of loading and the number of copied points. After an error,
        such as IndexUnavailable, the old shard is still in use.
        """
        if not folder.is_dir():
            raise IndexUnavailable(f"no shard was built in {folder}")
        started = time.monotonic()
        fresh = self._handle_of(folder)
        built = replace(built, stall_seconds=round(time.monotonic() - started, 3))
        try:
            self._catch_up(fresh, heartbeat)
            with self._lock:
                self._copy(self._journal or (), fresh)
                old, built = self._opened(), replace(built, caught_up=fresh.writes.count)
                self._write_state(StoreState(folder=folder.name, built=built))
                self._handle, self._journal = fresh, None
        except BaseException:
            fresh.close()
            raise
        old.retire()
        return built

    def _catch_up(self, fresh: Handle, heartbeat: Callable[[], None]) -> None:
        """Copy what differs, then what was written meanwhile, until little is left.

        The journal alone is not enough: a point may have been written before the build began, and
        settled in SQL only after the builder had read its row.
        """

        @contextmanager
        def using_fresh() -> Iterator[qe.EdgeShard]:
            with engine_errors():
                yield fresh.shard

        changed = self._take_journal() | {
            *differing_ids(scroll_claims(self.using), scroll_claims(using_fresh))
        }
        for _ in range(PASSES):
            heartbeat()
            self._copy(changed, fresh)
            if len(self._journal or ()) <= LAST_PASS:
                break
            changed = self._take_journal()
        with engine_errors():
            fresh.shard.flush()

    def _take_journal(self) -> set[int]:
        with self._lock:
            taken, self._journal = self._journal or set(), set()
            return taken

    def _copy(self, ids: Collection[int], fresh: Handle) -> None:
        fresh.writes.add(ids)
        with engine_errors():
            copy_points(ids, self.using, fresh.shard)

    def _write_state(self, state: StoreState) -> None:
        try:
            write_state(self._path, state)
        except OSError as error:
            raise IndexUnavailable(f"the embedded index cannot be changed: {error}") from error
        self._state = state

    # --- opening and closing ---

    def close(self) -> None:
        """Close the shard and release the lock; a forked child, which owns neither, does not."""
        with self._lock:
            self._closed = True
            handle = self._handle
            if handle is None or handle.pid != os.getpid():
                return
            self._handle = None
            try:
                handle.close()
            finally:
                self._release_lock()

    def drop(self) -> None:
        """Close the shard and delete the folder. Raises IndexLocked when there is another owner."""
        self.close()
        self._gone = True
        if self._path.exists():
            owner = _acquire_lock(self._path)
            remove(self._path)
            owner.release()
        self._path.with_name(f"{self._path.name}.lock").unlink(missing_ok=True)

    def _opened(self) -> Handle:
        handle = self._handle or self._open()
        if handle.pid != os.getpid():
            raise ConfigurationError(
                "the embedded index was opened before a fork, after which it cannot be used: "
                "open it in the process that serves, after the fork"
            )
        return handle

    def _open(self) -> Handle:
        with self._lock:
            if self._gone:
                raise IndexGone("the embedded index was dropped")
            if self._closed:
                raise IndexUnavailable("the embedded index is closed")
            if self._handle is None:
                self._file_lock = _acquire_lock(self._path)
                try:
                    self._handle = self._load()
                except BaseException:
                    self._release_lock()
                    raise
            return self._handle

    def _load(self) -> Handle:
        """Open the shard in use. Raises IndexDamaged for files that the engine cannot read."""
        with damage_named(self._path):
            return self._load_files()

    def _load_files(self) -> Handle:
        try:
            self._path.mkdir(exist_ok=True)
            self._state = read_state(self._path)
            if removed := remove_leftovers(self._path, self._state):
                log.info("removed the remains of an earlier build", entries=removed)
        except OSError as error:
            raise IndexUnavailable(f"the embedded index cannot be opened: {error}") from error
        return self._handle_of(self._path / self._state.folder)

    def _handle_of(self, folder: Path) -> Handle:
        return Handle(folder, size=self._size, schema=self._schema, tokens=self._tokens)

    def _release_lock(self) -> None:
        if self._file_lock is not None:
            self._file_lock.release()
            self._file_lock = None


def _acquire_lock(path: Path) -> FileLock:
    """Take the lock beside the folder; the engine's own does not cover creating a shard.

    Raises IndexLocked when another owner has it.
    """
    lock = FileLock(f"{path}.lock", thread_local=False)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire(blocking=False)
    except Timeout:
        raise IndexLocked(f"the embedded index in {path} has another owner") from None
    except OSError as error:
        raise IndexUnavailable(f"the embedded index cannot be opened: {error}") from error
    return lock
