"""`lookalike backup`: copy the catalogue as it is now, then the images that it names.

The order matters. An image is in the store before a row names it, and never changes. So the images
that the copied rows name are there, whatever is imported meanwhile, and no process has to stop.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, cast

from filelock import FileLock, Timeout

import backend
from backend.backup import images
from backend.backup.folder import (
    DRAFT,
    IMAGES,
    LOCK,
    MANIFEST,
    Bar,
    Manifest,
    Report,
    catalogue_name,
    copying,
    database_file,
    digest_of_file,
    images_in,
    no_bar,
    opened,
    read_number,
)
from backend.database.engine import Database
from backend.errors import ConfigurationError, UnusableBackup, WouldOverwrite
from backend.files import move_into_place
from backend.images.store import ImageStore
from backend.settings import Settings

PAGES: Final = 2000
"""SQLite pages that are copied between two reports of progress."""


def save(
    settings: Settings, folder: Path, *, copy_images: bool = False, bar: Bar = no_bar
) -> Manifest:
    """Back up the embedded catalogue into a folder, while other processes work with it.

    A folder that already holds a backup is brought up to date: only new images are copied.
    `copy_images` also copies images from the shop's folders; in the backup, and after a restore,
    they are in the store. Raises ConfigurationError if there is nothing to back up here,
    WouldOverwrite for a folder with other content, UnusableBackup for a damaged catalogue,
    DiskFull or OSError where the folder takes no more; the backup before stays as it is.
    """
    source, store = database_file(settings), ImageStore(settings.image_store_url)
    if not source.exists():
        raise ConfigurationError(f"there is no catalogue at {source}")
    _check_folder(folder, settings)
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with (
            FileLock(folder / LOCK, timeout=0),
            _draft_removed(folder),
            copying(source, folder),
        ):
            return _save(source, store, folder, settings, copy_images=copy_images, bar=bar)
    except Timeout:
        raise WouldOverwrite(f"another backup into {folder} is under way") from None


@contextmanager
def _draft_removed(folder: Path) -> Iterator[None]:
    """Leave no half of a catalogue behind: it may be what fills the disk."""
    try:
        yield
    finally:
        for left in folder.glob(f"{DRAFT}*"):
            left.unlink(missing_ok=True)


def _check_folder(folder: Path, settings: Settings) -> None:
    """Refuse a folder with other content: files that a backup does not name are deleted from it."""
    ours, theirs = folder.resolve(), settings.data_dir.resolve()
    if ours == theirs or ours in theirs.parents or theirs in ours.parents:
        raise WouldOverwrite(f"a backup must be outside the data folder {theirs}")
    if images_in(ours).url == settings.image_store_url:
        raise WouldOverwrite(f"{ours / IMAGES} is the image store itself")
    content = sorted(folder.iterdir()) if folder.exists() else []
    others = [path.name for path in content if not _is_ours(path.name)]
    if others:
        raise WouldOverwrite(f"{folder} holds something else: {others[0]}")


def _is_ours(name: str) -> bool:
    return name.startswith(("catalogue-", DRAFT, MANIFEST)) or name in (IMAGES, LOCK)


def _save(
    source: Path,
    store: ImageStore,
    folder: Path,
    settings: Settings,
    *,
    copy_images: bool,
    bar: Bar,
) -> Manifest:
    draft, kept = folder / DRAFT, images_in(folder)
    with bar("Catalogue") as report:
        _copy_catalogue(source, draft, report)
    created_at = datetime.now(UTC).isoformat(timespec="seconds")
    with opened(draft, mode="rw") as catalogue:
        images.create_views(catalogue)
        if copy_images:
            with bar("Images in place") as report:
                most = settings.max_image_bytes
                images.copy_in_place(catalogue, kept, max_bytes=most, report=report)
        with bar("Images") as report:
            copied = images.copy_stored(catalogue, store, kept, report)
        about = _describe(catalogue)
    digest = digest_of_file(draft)
    move_into_place(draft, folder / catalogue_name(digest))
    manifest = Manifest(
        created_at=created_at,
        version=backend.__version__,
        catalogue=digest,
        images=copied.images,
        image_bytes=copied.bytes,
        missing=list(copied.lost),
        **about,
    )
    manifest.write(folder)
    _delete_unnamed_files(folder, manifest)
    return manifest


def _copy_catalogue(source: Path, draft: Path, report: Report) -> None:
    """Copy a SQLite file as it is at this moment, while other processes write to it.

    The open transaction keeps the copy at one moment: without it, every write of another process
    would make SQLite start the copy again.
    """
    for left in (draft, draft.with_name(f"{DRAFT}-journal")):
        left.unlink(missing_ok=True)  # of a process that was killed
    draft.touch()
    with _opened_source(source) as ours, opened(draft, mode="rw") as copy:
        ours.execute("BEGIN")
        read_number(ours, "SELECT count(*) FROM sqlite_schema")
        ours.backup(copy, pages=PAGES, progress=lambda _, left, all_: report(all_ - left, all_))
        ours.execute("ROLLBACK")
        copy.execute("PRAGMA journal_mode=DELETE")  # one file, without a log beside it
        found = copy.execute("PRAGMA quick_check(1)").fetchone()[0]
    if found != "ok":
        raise UnusableBackup(f"the catalogue at {source} is damaged: {found}")


@contextmanager
def _opened_source(source: Path) -> Iterator[sqlite3.Connection]:
    """Open the catalogue, also in a folder that cannot be written."""
    db = Database(f"sqlite:///{source}")
    with closing(db), closing(db.engine.raw_connection()) as connection:
        yield cast("sqlite3.Connection", connection.driver_connection)


def _describe(catalogue: sqlite3.Connection) -> dict[str, Any]:
    """Return what the manifest says about the rows."""
    return {
        "revision": catalogue.execute("SELECT version_num FROM alembic_version").fetchone()[0],
        "products": read_number(
            catalogue, "SELECT count(*) FROM products WHERE removed_at IS NULL"
        ),
        **images.count_elsewhere(catalogue),
    }


def _delete_unnamed_files(folder: Path, manifest: Manifest) -> None:
    """Delete the previous backup's catalogue, and images that only that catalogue named."""
    for path in folder.glob("catalogue-*.sqlite"):
        if path != manifest.catalogue_path(folder):
            path.unlink()
    with opened(manifest.catalogue_path(folder), mode="ro") as catalogue:
        images.create_views(catalogue)
        named = set(images.stored_digests(catalogue))
    for path in (folder / IMAGES).glob("*/*"):
        if path.name not in named:
            path.unlink()
