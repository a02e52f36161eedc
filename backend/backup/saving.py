"""`lookalike backup`: copy the catalogue as it is now, then the images that it names.

In this order: an image is in the store before any row names it, and is never changed, so what the
copied rows name is there, whatever is imported meanwhile. Nobody has to stop.
"""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

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
    database_file,
    digest_of_file,
    images_in,
    no_bar,
    number,
    opened,
)
from backend.errors import ConfigurationError, UnusableBackup, WouldOverwrite
from backend.files import move_into_place
from backend.images.store import ImageStore
from backend.settings import Settings

PAGES: Final = 2000
"""Pages of SQLite's that are copied between two looks at the bar."""


def save(
    settings: Settings, folder: Path, *, copy_images: bool = False, bar: Bar = no_bar
) -> Manifest:
    """Back the embedded catalogue up into a folder, beside whoever works with it.

    A folder that holds a backup already is brought up to date: only new images are copied.
    `copy_images` also takes pictures that lie in a folder of the shop's; in the backup, and where
    it is restored, they are in the store. Raises ConfigurationError where there is nothing to back
    up here, WouldOverwrite for a folder of something else, UnusableBackup for a damaged catalogue.
    """
    source, store = database_file(settings), ImageStore(settings.image_store_url)
    if not source.exists():
        raise ConfigurationError(f"there is no catalogue at {source}")
    _check_folder(folder, settings)
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(folder / LOCK, timeout=0):
            return _save(source, store, folder, settings, copy_images=copy_images, bar=bar)
    except Timeout:
        raise WouldOverwrite(f"another backup into {folder} is under way") from None


def _check_folder(folder: Path, settings: Settings) -> None:
    """Refuse a folder that is somebody's: what a backup no longer names is deleted from it."""
    ours, theirs = folder.resolve(), settings.data_dir.resolve()
    if ours == theirs or ours in theirs.parents or theirs in ours.parents:
        raise WouldOverwrite(f"a backup has to lie apart from the data folder {theirs}")
    if images_in(ours).url == settings.image_store_url:
        raise WouldOverwrite(f"{ours / IMAGES} is the image store itself")
    strangers = [path.name for path in _content(folder) if not _is_ours(path.name)]
    if strangers:
        raise WouldOverwrite(f"{folder} holds something else: {strangers[0]}")


def _content(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.exists() else []


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
        images.sort_out(catalogue)
        if copy_images:
            with bar("Images in place") as report:
                most = settings.max_image_bytes
                images.take_in(catalogue, kept, max_bytes=most, report=report)
        with bar("Images") as report:
            held, size, missing = images.copy_stored(catalogue, store, kept, report)
        about = _describe(catalogue)
    digest = digest_of_file(draft)
    move_into_place(draft, folder / catalogue_name(digest))
    manifest = Manifest(
        created_at=created_at,
        version=backend.__version__,
        catalogue=digest,
        images=held,
        image_bytes=size,
        missing=missing,
        **about,
    )
    manifest.write(folder)
    _drop_what_is_no_longer_named(folder, manifest)
    return manifest


def _copy_catalogue(source: Path, draft: Path, report: Report) -> None:
    """Copy a SQLite file that others go on writing, as it is at this moment.

    The open transaction holds the moment fast: without it, every write of another process would
    make SQLite begin again.
    """
    for left in (draft, draft.with_name(f"{DRAFT}-journal")):
        left.unlink(missing_ok=True)
    draft.touch()
    with opened(source, mode="rw") as ours, opened(draft, mode="rw") as copy:
        ours.execute("BEGIN")
        number(ours, "SELECT count(*) FROM sqlite_schema")
        ours.backup(copy, pages=PAGES, progress=lambda _, left, all_: report(all_ - left, all_))
        ours.execute("ROLLBACK")
        copy.execute("PRAGMA journal_mode=DELETE")  # one file, without a log beside it
        found = copy.execute("PRAGMA quick_check(1)").fetchone()[0]
    if found != "ok":
        raise UnusableBackup(f"the catalogue at {source} is damaged: {found}")


def _describe(catalogue: sqlite3.Connection) -> dict[str, Any]:
    """Return what the manifest says of the rows."""
    return {
        "revision": catalogue.execute("SELECT version_num FROM alembic_version").fetchone()[0],
        "products": number(catalogue, "SELECT count(*) FROM products WHERE removed_at IS NULL"),
        **images.elsewhere(catalogue),
    }


def _drop_what_is_no_longer_named(folder: Path, manifest: Manifest) -> None:
    """Delete the catalogue of the backup before, and images that only that one named."""
    for path in folder.glob("catalogue-*.sqlite"):
        if path != manifest.path(folder):
            path.unlink()
    with opened(manifest.path(folder), mode="ro") as catalogue:
        images.sort_out(catalogue)
        named = set(images.stored(catalogue))
    for path in (folder / IMAGES).glob("*/*"):
        if path.name not in named:
            path.unlink()
