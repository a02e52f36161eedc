"""The files of one generation's shards, and which of the shards is in use.

    <collection>.lock                 held by its one owner
    <collection>/store.json           the folder in use, how it was built, why a later build failed
    <collection>/shard-1/             a shard
    <collection>/shard-1.written      how many of its points were written since it was built

`store.json` is replaced atomically, so that a killed process leaves either the old shard in use or
the new one. Everything here can be read without owning the index.
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
_WIDTH: Final = 20  # digits of a count, so that each overwrites the last one


@dataclass(frozen=True, kw_only=True)
class BuildResult:
    """How an optimized shard was built."""

    at: str  # when it came into use, UTC in ISO 8601
    points: int  # that its graph holds
    seconds: float  # from the start of the build until it was ready to be loaded
    caught_up: int = 0  # points that were copied because they had changed during the build
    stall_seconds: float = 0  # how long the engine took to load it, while no thread ran
    peak_bytes: int = 0  # resident memory of the builder


@dataclass(frozen=True, kw_only=True)
class BuildFailure:
    """Why the last build failed, if it began after the one of the shard in use."""

    at: str  # UTC in ISO 8601
    reason: str


@dataclass(frozen=True, kw_only=True)
class StoreState:
    """Which shard is in use; the rest is shown to operators."""

    folder: str = FIRST
    built: BuildResult | None = None  # None: no graph; every search compares all points
    failure: BuildFailure | None = None

    @property
    def next_folder(self) -> str:
        """Where the next shard is built."""
        return f"shard-{int(self.folder.rpartition('-')[2]) + 1}"


@dataclass(frozen=True)
class Shard:
    """The shard in use, as any process may see it."""

    state: StoreState
    dirty: int  # points written or deleted since the graph was built
    building: bool  # whether the next one is being built, or was when the owner was killed


def look(path: Path) -> Shard:
    """Read which shard a store's folder has in use; before the first opening it looks empty."""
    state = read_state(path)
    dirty = _read_count(path / f"{state.folder}.written")
    return Shard(state, dirty, building=(path / state.next_folder).exists())


def read_state(path: Path) -> StoreState:
    """Read which shard is in use. Raises IndexUnavailable for a file that cannot be read so."""
    try:
        found: dict[str, Any] = json.loads((path / "store.json").read_text())
        built, failure = found["built"], found["failure"]
        return StoreState(
            folder=found["folder"],
            built=BuildResult(**built) if built else None,
            failure=BuildFailure(**failure) if failure else None,
        )
    except FileNotFoundError:
        return StoreState()
    except OSError as error:  # the host is the reason, not the file
        raise IndexUnavailable(f"{path / 'store.json'} cannot be read: {error.strerror}") from error
    except (ValueError, LookupError, TypeError) as error:
        raise IndexUnavailable(
            f"{path / 'store.json'} is damaged ({error}): delete {path}, and it is filled again"
        ) from error


def write_state(path: Path, state: StoreState) -> None:
    """Write which shard is in use, safe against a power cut. Raises OSError."""
    path.stat()  # raises if the folder was removed; `replace_file` would create it again
    text = json.dumps(asdict(state), indent=2)
    replace_file(path / "store.json", lambda draft: draft.write_text(text), flush_folder=True)


def remove_leftovers(path: Path, state: StoreState) -> list[str]:
    """Remove all but the shard in use: half-built shards, and replaced ones.

    Only for the owner, before anything is built. Returns the names of the removed entries.
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


class WriteCounter:
    """Counts the points written since a shard was built, in a file that survives a killed process.

    After a restart a point counts again: the count only helps to decide when to build.
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
        """Close the file."""
        if self._file >= 0:  # only once: the descriptor may soon be another file's
            os.close(self._file)
            self._file = -1


def _read_count(file: Path) -> int:
    try:
        return int(file.read_text() or 0)
    except (OSError, ValueError):
        return 0
