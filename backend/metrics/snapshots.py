"""How the processes that share a data folder add up: each writes its counts into a file of its own.

prometheus_client has memory-mapped files for this. On a full disk a write to such a file ends the
process by SIGBUS, and the files of ended processes stay. Here a thread replaces an ordinary file
once a second; if a write fails, a second of accuracy is lost. A process holds a lock while it runs,
which tells its counts from those of ended processes. The latter are added up in one file, so a
counter never falls.
"""

from __future__ import annotations

import json
import os
import threading
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import structlog
from filelock import FileLock, Timeout

from backend import files
from backend.metrics import counted
from backend.metrics.counted import Counts

log = structlog.get_logger(__name__)

WRITE_SECONDS: Final = 1.0
LOCK_SECONDS: Final = 2.0
"""How long a reader waits for another one; then it reads without adding up ended processes."""

ENDED: Final = "ended.json"

DISK_ERRORS: Final = (OSError, NotImplementedError)
"""What a folder raises that is full, read-only, or on a file system without locks."""


@dataclass(frozen=True)
class Published:
    """What other processes have counted, and how many of them live, by role."""

    counts: Counts
    living: Counter[str]


class Publisher:
    """Writes what this process has counted, once a second and at its end.

    `role` says what the process does, such as `api`. Errors of the disk are logged once.
    """

    def __init__(self, folder: Path, *, role: str) -> None:
        self._folder = folder
        self._role = role
        self._id = own_id()
        self._lock: FileLock | None = None
        self._failed = False
        self._written: Counts | None = None
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="metrics", daemon=True)

    def start(self) -> None:
        """Write for the first time, and start the thread."""
        self._write()
        self._thread.start()

    def stop(self) -> None:
        """Write for the last time and end the thread."""
        self._stopping.set()
        if self._thread.ident:
            self._thread.join()
        self._write()
        if self._lock:
            self._lock.release()

    def _run(self) -> None:
        while not self._stopping.wait(WRITE_SECONDS):
            self._write()

    def _write(self) -> None:
        try:
            if self._lock is None:
                self._lock = self._begin()
            counts = counted.own()
            if counts != self._written:
                _store(self._folder / f"{self._id}.json", counts, role=self._role)
            self._written, self._failed = counts, False
        except DISK_ERRORS as error:
            if not self._failed:
                log.warning("cannot write what this process has counted", error=str(error))
            self._failed = True

    def _begin(self) -> FileLock:
        self._folder.mkdir(parents=True, exist_ok=True)
        lock = _lock_of(self._folder, self._id)
        lock.acquire(timeout=0)
        read(self._folder)  # which adds up what ended processes have left
        return lock


_ids: dict[int, str] = {}


def own_id() -> str:
    """Return a name of this process that no other process, of any host, has."""
    return _ids.setdefault(os.getpid(), uuid.uuid4().hex)


def read(folder: Path) -> Published:
    """Return what the other processes have counted, also those that have ended."""
    if not folder.is_dir():
        return Published({}, Counter())
    with _reading(folder) as alone:
        ended = _load(folder / ENDED)
        added = set(ended.get("added", ()))
        found = {
            path.stem: _load(path)
            for path in sorted(folder.glob("*.json"))
            if path.name != ENDED and path.stem != own_id() and path.stem not in added
        }
        dead = {name for name in found if not _lives(folder, name)}
        if alone and (dead or added):
            _add_to_ended(folder, ended, {name: found[name] for name in dead})
    counts = counted.add_up(_counts(one) for one in (ended, *found.values()))
    living = Counter(str(one["role"]) for name, one in found.items() if one and name not in dead)
    return Published(counts, living)


def _add_to_ended(folder: Path, ended: dict[str, Any], dead: dict[str, dict[str, Any]]) -> None:
    """Add ended processes to the file of all of them, and remove their own files.

    The file names what it contains, so a kill between the two counts nothing twice.
    """
    total = counted.add_up(_counts(one) for one in (ended, *dead.values()))
    before = [name for name in ended.get("added", ()) if (folder / f"{name}.json").exists()]
    added = sorted({*before, *dead})
    with suppress(OSError):  # a full disk; the next reader does it
        _store(folder / ENDED, total, added=added)
        for name in added:
            for left in (f"{name}.json", f".{name}.json.new", f"{name}.lock"):
                (folder / left).unlink(missing_ok=True)


def _store(path: Path, counts: Counts, **more: Any) -> None:
    document = {"layout": counted.LAYOUT, "counts": counted.to_json(counts), **more}
    data = json.dumps(document).encode()
    files.replace_file(path, lambda draft: draft.write_bytes(data), flush=False)


def _counts(document: dict[str, Any]) -> Counts:
    """Return the counts of a file; none if another release has written it."""
    if document.get("layout") != counted.LAYOUT:
        return {}
    return counted.from_json(document["counts"])


def _load(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_bytes())
    except (OSError, ValueError):  # it is not there, or was cut off by a crash of the host
        return {}
    return document if isinstance(document, dict) else {}


def _lives(folder: Path, name: str) -> bool:
    """Tell whether the process of a file holds its lock."""
    try:
        with _lock_of(folder, name).acquire(timeout=0):
            return False
    except Timeout:
        return True
    except DISK_ERRORS:  # nothing can be told, and nothing is changed
        return True


@contextmanager
def _reading(folder: Path) -> Iterator[bool]:
    """Yield whether this process alone may change files."""
    lock = FileLock(folder / "reading.lock", thread_local=False)
    try:
        lock.acquire(timeout=LOCK_SECONDS)
    except DISK_ERRORS:  # also a timeout
        yield False
        return
    try:
        yield True
    finally:
        lock.release()


def _lock_of(folder: Path, name: str) -> FileLock:
    return FileLock(folder / f"{name}.lock", thread_local=False)
