"""Replace files atomically: a reader, also after a crash, sees the old content or the new."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from pathlib import Path


def replace_file(
    path: Path,
    write: Callable[[Path], object],
    *,
    mode: int | None = None,
    unique: bool = False,
    flush: bool = True,
    flush_folder: bool = False,
) -> None:
    """Have `write` fill a draft beside `path`, then rename the draft to `path`.

    `mode` sets the permissions before anything is written; None leaves them to the umask. `unique`
    is for a path that several threads or processes may write at once: each gets a draft of its own,
    which stays there if the process is killed. `flush` and `flush_folder` as in `move_into_place`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    number = f".{secrets.token_hex(8)}" if unique else ""
    draft = path.with_name(f".{path.name}{number}.new")
    draft.unlink(missing_ok=True)  # left by a killed process; its permissions would stay
    try:
        if mode is not None:
            _create(draft, mode)
        write(draft)
        move_into_place(draft, path, flush=flush, flush_folder=flush_folder)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


def move_into_place(
    draft: Path, path: Path, *, flush: bool = True, flush_folder: bool = False
) -> None:
    """Rename a finished file to `path`, in the same folder.

    A power cut after this returns may still lose the content without `flush`, and the rename
    without `flush_folder`.
    """
    if flush:
        with draft.open("rb+") as file:
            os.fsync(file.fileno())
    draft.replace(path)
    if flush_folder:
        sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder safe against power loss."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _create(path: Path, mode: int) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.fchmod(descriptor, mode)  # the umask does not apply to it
    finally:
        os.close(descriptor)
