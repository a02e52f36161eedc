"""Where the shards of one generation lie, and which of them answers.

    <collection>.lock                 its one owner
    <collection>/store.json           the folder in use, how it was built, why a later build failed
    <collection>/shard-1/             a shard
    <collection>/shard-1.written      how many of its points were written since it was built

The file that names the folder is replaced as one, so that a killed process leaves either the old
shard in use or the new one. Everything here can be read without owning the index.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from backend.errors import IndexUnavailable
from backend.files import replace_file

FIRST: Final = "shard-1"
_WIDTH: Final = 20  # digits of a count, so that each is written over the last one


@dataclass(frozen=True, kw_only=True)
class Built:
    """How an optimized shard was built."""

    at: str  # when it came into use, UTC in ISO 8601
    points: int  # that its graph holds
    seconds: float  # from the start of the build until it was ready to be loaded
    caught_up: int = 0  # points that were copied because they had changed meanwhile
    stall_seconds: float = 0  # of every thread of the owner, while the engine loaded it
    peak_bytes: int = 0  # resident memory of the builder


@dataclass(frozen=True, kw_only=True)
class Failure:
    """Why the last build, newer than the shard in use, came to nothing."""

    at: str  # UTC in ISO 8601
    reason: str


@dataclass(frozen=True, kw_only=True)
class StoreState:
    """Which shard answers; the rest is for operators."""

    folder: str = FIRST
    built: Built | None = None  # None: no graph; every search compares all points
    failure: Failure | None = None

    @property
    def next_folder(self) -> str:
        """Where the next shard is built."""
        return f"shard-{int(self.folder.rpartition('-')[2]) + 1}"


@dataclass(frozen=True)
class Shard:
    """What anyone may know of the shard in use."""

    state: StoreState
    dirty: int  # points written or deleted since the graph was built
    building: bool  # whether another is being built, or was when the owner was killed


def look(path: Path) -> Shard:
    """Read how the store in a folder stands; one that was never opened looks like a new one."""
    state = read_state(path)
    dirty = _read_count(path / f"{state.folder}.written")
    return Shard(state, dirty, building=(path / state.next_folder).exists())


def read_state(path: Path) -> StoreState:
    """Read which shard is in use. Raises IndexUnavailable when the file is damaged."""
    try:
        found: dict[str, Any] = json.loads((path / "store.json").read_text())
        built, failure = found["built"], found["failure"]
        return StoreState(
            folder=found["folder"],
            built=Built(**built) if built else None,
            failure=Failure(**failure) if failure else None,
        )
    except FileNotFoundError:
        return StoreState()
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise IndexUnavailable(
            f"{path / 'store.json'} is damaged ({error}): delete {path}, and it is filled again"
        ) from error


def write_state(path: Path, state: StoreState) -> None:
    """Write which shard is in use. Once this has returned, a power cut does not lose it.

    Raises OSError, also when the folder is gone.
    """
    path.stat()  # or `replace_file` would make a folder anew that somebody has removed
    text = json.dumps(asdict(state), indent=2)
    replace_file(path / "store.json", lambda draft: draft.write_text(text), flush_folder=True)


def remove_leftovers(path: Path, state: StoreState) -> list[str]:
    """Remove all but the shard in use: half-built ones, and those that it replaced.

    Only for the owner, before anything is built. Returns the names of what was removed.
    """
    keep = {"store.json", state.folder, f"{state.folder}.written"}
    leftovers = [entry for entry in path.iterdir() if entry.name not in keep]
    for entry in leftovers:
        remove(entry)
    return [entry.name for entry in leftovers]


def remove(entry: Path) -> None:
    """Remove a folder or a file; it may be gone already."""
    if entry.is_dir():
        shutil.rmtree(entry, ignore_errors=True)
    else:
        entry.unlink(missing_ok=True)


class Tally:
    """Counts the points that were written since a shard was built; a killed process loses none.

    A point counts once, or once more after a restart: it is a hint for when to build again.
    """

    def __init__(self, file: Path) -> None:
        self._base = _read_count(file)
        self._ids: set[int] = set()
        self._file = os.open(file, os.O_RDWR | os.O_CREAT, 0o644)

    def add(self, ids: Iterable[int]) -> None:
        """Count points by id."""
        self._ids.update(ids)
        os.pwrite(self._file, b"%0*d" % (_WIDTH, self.count), 0)

    @property
    def count(self) -> int:
        """How many were counted."""
        return self._base + len(self._ids)

    def close(self) -> None:
        """Let go of the file."""
        if self._file >= 0:  # once: the number may soon be another file's
            os.close(self._file)
            self._file = -1


def _read_count(file: Path) -> int:
    try:
        return int(file.read_text() or 0)
    except (OSError, ValueError):
        return 0
