"""`lookalike restore`: replace the catalogue with a backup.

First a copy of the backup is checked and migrated, and all its points are requested again. Then
SQLite's backup API replaces the catalogue in one transaction: a process that is killed leaves
either the old catalogue or the new one. A catalogue that is too damaged for that is replaced as a
file.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from backend import queue
from backend.backup import images
from backend.backup.folder import (
    Bar,
    Manifest,
    Report,
    copying,
    database_file,
    digest_of_file,
    images_in,
    no_bar,
    opened,
)
from backend.backup.saving import PAGES
from backend.database import migrate
from backend.database.engine import Database
from backend.errors import UnusableBackup, WouldOverwrite
from backend.files import move_into_place
from backend.images.store import ImageStore
from backend.settings import Settings
from backend.vectors.edge.owner import Owner

NO_CATALOGUE: Final = {"owner.lock", "owner.json", "metrics"}
"""What a process leaves in the data folder that is no part of a catalogue."""

EXAMPLES: Final = 3


def check(folder: Path, *, bar: Bar = no_bar) -> Manifest:
    """Read a whole backup and return its manifest; raises UnusableBackup when it is damaged."""
    manifest = _check_catalogue(folder)
    with opened(manifest.catalogue_path(folder), mode="ro") as catalogue, bar("Images") as report:
        images.create_views(catalogue)
        _refuse_lost(images.find_damaged(catalogue, images_in(folder), report), manifest)
    return manifest


def restore(
    settings: Settings,
    folder: Path,
    *,
    force: bool = False,
    partial: bool = False,
    bar: Bar = no_bar,
) -> Manifest:
    """Restore a backup; the next start refills the index from the stored vectors.

    `force` replaces what is in the data folder. `partial` accepts that images are missing from the
    backup: their products are found by their stored vectors. Raises IndexLocked while a server
    runs, WouldOverwrite without `force`, UnusableBackup for a damaged backup; then at most images
    have been added to the store.
    """
    database = database_file(settings)
    manifest = _check_catalogue(folder)
    with _owning(settings):
        if not force:
            _check_empty(settings, database)
        with (
            opened(manifest.catalogue_path(folder), mode="ro") as catalogue,
            bar("Images") as report,
        ):
            images.create_views(catalogue)
            store = ImageStore(settings.image_store_url)
            copied = images.copy_stored(catalogue, images_in(folder), store, report)
            if not partial:
                _refuse_lost(copied.lost, manifest)
        with (
            bar("Catalogue") as report,
            _prepared(manifest.catalogue_path(folder), database) as ready,
        ):
            shutil.rmtree(settings.index_dir, ignore_errors=True)
            _replace(database, ready, report)
    return manifest


def _check_catalogue(folder: Path) -> Manifest:
    manifest = Manifest.read(folder)
    file = manifest.catalogue_path(folder)
    if not file.exists():
        raise UnusableBackup(f"the backup lacks its catalogue, {file.name}")
    if digest_of_file(file) != manifest.catalogue:
        raise UnusableBackup("the catalogue of the backup is damaged: its digest differs")
    if not migrate.is_known(manifest.revision):
        raise UnusableBackup(
            f"the backup is of version {manifest.version}, revision {manifest.revision}: this "
            "program is too old for it"
        )
    return manifest


def _refuse_lost(found: Sequence[str], manifest: Manifest) -> None:
    """Raise UnusableBackup for images that the backup had when it was made."""
    lost = sorted({*found} - {*manifest.missing})
    if lost:
        raise UnusableBackup(
            f"{len(lost)} images of the backup are missing or damaged, such as "
            f"{', '.join(lost[:EXAMPLES])}; --partial restores the rest",
            images=lost,
        )


@contextmanager
def _owning(settings: Settings) -> Iterator[None]:
    """Hold the lock of the index, so that no server runs or starts meanwhile."""
    owner = Owner(settings.data_dir)
    owner.acquire()
    try:
        yield
    finally:
        owner.release()


def _check_empty(settings: Settings, database: Path) -> None:
    found = [path for path in settings.data_dir.iterdir() if path.name not in NO_CATALOGUE]
    if database.exists():
        found.append(database)
    if found:
        raise WouldOverwrite(
            f"there is a catalogue here already ({found[0]}); --force puts the backup in its place"
        )


@contextmanager
def _prepared(file: Path, database: Path) -> Iterator[Path]:
    """Copy a backup's catalogue beside its target, migrate it, and request every point again."""
    database.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=database.parent, prefix=".restoring-") as beside:
        ready = Path(shutil.copyfile(file, Path(beside) / database.name))
        db = Database(f"sqlite:///{ready}")
        migrate.migrate(db)
        db.write(queue.forget_points)
        db.close()
        yield ready


def _replace(database: Path, ready: Path, report: Report) -> None:
    """Replace the content of a catalogue in one transaction; other processes may have it open."""
    database.touch()
    try:
        with copying(ready, database):
            _write_into(database, ready, report)
    except UnusableBackup:
        _exchange(database, ready)


def _write_into(database: Path, ready: Path, report: Report) -> None:
    with opened(ready, mode="rw") as source, opened(database, mode="rw") as target:
        source.backup(target, pages=PAGES, progress=lambda _, left, all_: report(all_ - left, all_))
        target.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _exchange(database: Path, ready: Path) -> None:
    """Put a file in the place of one that SQLite cannot read, whose log goes with it."""
    for ending in ("-wal", "-shm"):
        database.with_name(f"{database.name}{ending}").unlink(missing_ok=True)
    move_into_place(ready, database, flush_folder=True)
