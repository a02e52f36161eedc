"""The life of the shard that answers: opened by the first call, replaced while it is in use.

- The engine holds the GIL through every call, loading and closing included.
- After a fork its handle hangs in the child: the shard is opened by the first call, and a child
  that inherits it is refused.
- A call pins the shard that it began with; one that was replaced is closed and deleted when the
  last call has left it.
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
from backend.vectors.edge.copy import copy, differing, walk
from backend.vectors.edge.folders import (
    Built,
    Failure,
    StoreState,
    read_state,
    remove,
    remove_leftovers,
    write_state,
)
from backend.vectors.edge.handle import Handle
from backend.vectors.edge.shard import check_space, engine_errors

log = structlog.get_logger(__name__)

LAST_PASS: Final = 256
"""Points that are copied while writers wait: a few milliseconds."""

PASSES: Final = 20
"""Then the last pass comes, however much writers have changed meanwhile."""


class EdgeStore:
    """The shards of one generation, of which one answers.

    A second owner, in this process or another, gets IndexLocked; one that inherited the open store
    through a fork gets ConfigurationError.
    """

    def __init__(self, path: Path, *, size: int, schema: Schema) -> None:
        self._path = path  # never opened by anyone but the owner of its lock
        self._size = size
        self._schema = schema
        self._lock = threading.RLock()  # of opening, closing, replacing and writing
        self._owner: FileLock | None = None
        self._handle: Handle | None = None
        self._state = StoreState()
        self._journal: set[int] | None = None  # ids written since a build began
        self._closed = False
        self._gone = False

    # --- using ---

    @contextmanager
    def using(self) -> Iterator[qe.EdgeShard]:
        """Give the shard for one call, and translate what the engine raises."""
        handle = self._opened()
        while not handle.enter():
            handle = self._opened()
        try:
            with engine_errors():
                yield handle.shard
        finally:
            handle.leave()

    @contextmanager
    def writing(self, ids: Collection[int]) -> Iterator[qe.EdgeShard]:
        """Give the shard for writing these points, alone; raises before the disk is full."""
        with self._lock, self.using() as shard:
            self.check_folder()
            check_space(self._path)
            if self._journal is not None:
                self._journal.update(ids)
            self._opened().tally.add(ids)
            yield shard

    def check_folder(self) -> None:
        """Raise IndexGone when somebody took the folder away: the open shard would still answer."""
        folder = self._opened().folder
        if not (folder / "segments").is_dir():
            raise IndexGone(f"the embedded index has lost its folder {folder}")

    @property
    def indexed(self) -> bool:
        """Whether the shard has a graph."""
        return self._opened().indexed

    @property
    def dirty(self) -> int:
        """How many points were written since the shard was built."""
        return self._opened().tally.count

    # --- replacing ---

    def begin_build(self) -> Path:
        """Return the folder where a shard may be built, and note from now on what changes."""
        self._opened()
        with self._lock:
            if self._journal is not None:
                raise IndexUnavailable("an optimized shard is being built already")
            self._journal = set()
            return self._path / self._state.next_folder

    def abandon(self, folder: Path, *, failure: Failure | None = None) -> None:
        """Forget a build, whose process has ended, and keep why it failed."""
        with self._lock:
            self._journal = None
            if self._closed or folder.name == self._state.folder:
                return  # the next owner tidies up
            remove(folder)
            if failure:
                with suppress(IndexUnavailable):  # such as a full disk, which is the failure
                    self._note(replace(self._state, failure=failure))

    def adopt(
        self, folder: Path, built: Built, *, heartbeat: Callable[[], None] = lambda: None
    ) -> Built:
        """Answer from the shard that was built in a folder, once it holds all that this one holds.

        Queries go on all the while but for the time the engine takes to load the shard; writers
        wait for the last pass alone. Returns `built` with the number of points that were copied.
        What goes wrong is raised, and leaves everything as it was.
        """
        if not folder.is_dir():
            raise IndexUnavailable(f"no shard was built in {folder}")
        started = time.monotonic()
        fresh = Handle(folder, size=self._size, schema=self._schema)
        built = replace(built, stall_seconds=round(time.monotonic() - started, 3))
        try:
            self._catch_up(fresh, heartbeat)
            with self._lock:
                self._copy(self._journal or (), fresh)
                old, built = self._opened(), replace(built, caught_up=fresh.tally.count)
                self._note(StoreState(folder=folder.name, built=built))
                self._handle, self._journal = fresh, None
        except BaseException:
            fresh.close()
            raise
        old.retire()
        return built

    def _catch_up(self, fresh: Handle, heartbeat: Callable[[], None]) -> None:
        """Copy what differs, then what was written meanwhile, until little is left.

        The journal alone would not do: what had been written before the build began may have been
        settled in SQL only after the builder read it.
        """

        @contextmanager
        def using_fresh() -> Iterator[qe.EdgeShard]:
            with engine_errors():
                yield fresh.shard

        changed = self._take_journal() | {*differing(walk(self.using), walk(using_fresh))}
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
        fresh.tally.add(ids)
        with engine_errors():
            copy(ids, self.using, fresh.shard)

    def _note(self, state: StoreState) -> None:
        try:
            write_state(self._path, state)
        except OSError as error:
            raise IndexUnavailable(f"the embedded index cannot be changed: {error}") from error
        self._state = state

    # --- opening and closing ---

    def close(self) -> None:
        """Let go of the shard; a child of a fork only forgets it, since it never was its own."""
        with self._lock:
            self._closed = True
            handle = self._handle
            if handle is None or handle.pid != os.getpid():
                return
            self._handle = None
            try:
                handle.close()
            finally:
                self._disown()

    def drop(self) -> None:
        """Close the shard and delete the folder; raises IndexLocked when another owner has it."""
        self.close()
        self._gone = True
        if self._path.exists():
            owner = _own(self._path)
            remove(self._path)
            owner.release()
        self._path.with_name(f"{self._path.name}.lock").unlink(missing_ok=True)

    def _opened(self) -> Handle:
        handle = self._handle or self._open()
        if handle.pid != os.getpid():
            raise ConfigurationError(
                "the embedded index was opened before a fork, after which it cannot be used: "
                "open it in the process that serves (no gunicorn preload)"
            )
        return handle

    def _open(self) -> Handle:
        with self._lock:
            if self._gone:
                raise IndexGone("the embedded index was dropped")
            if self._closed:
                raise IndexUnavailable("the embedded index is closed")
            if self._handle is None:
                self._owner = _own(self._path)
                try:
                    self._handle = self._load()
                except BaseException:
                    self._disown()
                    raise
            return self._handle

    def _load(self) -> Handle:
        try:
            self._path.mkdir(exist_ok=True)
            self._state = read_state(self._path)
            if removed := remove_leftovers(self._path, self._state):
                log.info("removed what was left of a build", entries=removed)
        except OSError as error:
            raise IndexUnavailable(f"the embedded index cannot be opened: {error}") from error
        folder = self._path / self._state.folder
        return Handle(folder, size=self._size, schema=self._schema)

    def _disown(self) -> None:
        if self._owner is not None:
            self._owner.release()
            self._owner = None


def _own(path: Path) -> FileLock:
    """Take the lock beside the folder: the engine's own does not cover its creation."""
    lock = FileLock(f"{path}.lock", thread_local=False)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire(blocking=False)
    except Timeout:
        raise IndexLocked(f"the embedded index in {path} has another owner") from None
    except OSError as error:
        raise IndexUnavailable(f"the embedded index cannot be opened: {error}") from error
    return lock
