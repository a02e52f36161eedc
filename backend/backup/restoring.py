"""`lookalike restore`: put a backup in the place of the catalogue.

Everything is checked, brought to the program's own revision and told that its index is gone before
anything is touched. The catalogue itself is then replaced in one transaction, by SQLite's backup
read the other way round, so that a kill leaves either the one or the other.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from backend import queue
from backend.backup import images
from backend.backup.folder import (
    Bar,
    Manifest,
    Report,
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
from backend.images.store import ImageStore
from backend.settings import Settings
from backend.vectors.edge.owner import Owner

OWNERS_FILES: Final = {"owner.lock", "owner.json"}
EXAMPLES: Final = 3


def check(folder: Path, *, bar: Bar = no_bar) -> Manifest:
    """Read a whole backup and return its manifest; raises UnusableBackup when it is damaged."""
    manifest = _check_catalogue(folder)
    with opened(manifest.path(folder), mode="ro") as catalogue, bar("Images") as report:
        images.sort_out(catalogue)
        _refuse(images.spoilt(catalogue, images_in(folder), report), manifest)
    return manifest


def restore(
    settings: Settings,
    folder: Path,
    *,
    force: bool = False,
    partial: bool = False,
    bar: Bar = no_bar,
) -> Manifest:
    """Restore a backup; the index refills from the stored vectors with the next start.

    `force` replaces what lies in the data folder, `partial` does without images that the backup
    has lost: their products are found by their stored vectors. Raises IndexLocked while a server
    runs, WouldOverwrite without `force`, UnusableBackup for a damaged backup; then nothing but
    images was added.
    """
    database = database_file(settings)
    manifest = _check_catalogue(folder)
    with _alone(settings):
        if not force:
            _check_empty(settings, database)
        with opened(manifest.path(folder), mode="ro") as catalogue, bar("Images") as report:
            images.sort_out(catalogue)
            store = ImageStore(settings.image_store_url)
            *_, lost = images.copy_stored(catalogue, images_in(folder), store, report)
            if not partial:
                _refuse(lost, manifest)
        with bar("Catalogue") as report, _prepared(manifest.path(folder), database) as ready:
            shutil.rmtree(settings.index_dir, ignore_errors=True)
            _replace(database, ready, report)
    return manifest


def _check_catalogue(folder: Path) -> Manifest:
    manifest = Manifest.read(folder)
    file = manifest.path(folder)
    if not file.exists():
        raise UnusableBackup(f"the backup lacks its catalogue, {file.name}")
    if digest_of_file(file) != manifest.catalogue:
        raise UnusableBackup("the catalogue of the backup is damaged: its digest is another one")
    if not migrate.is_known(manifest.revision):
        raise UnusableBackup(
            f"the backup is of version {manifest.version}, revision {manifest.revision}, which "
            "this program is too old for"
        )
    return manifest


def _refuse(lost: list[str], manifest: Manifest) -> None:
    """Raise UnusableBackup for images that the backup once had."""
    lost = sorted({*lost} - {*manifest.missing})
    if lost:
        raise UnusableBackup(
            f"{len(lost)} images of the backup are missing or damaged, such as "
            f"{', '.join(lost[:EXAMPLES])}; --partial does without them",
            images=lost,
        )


@contextmanager
def _alone(settings: Settings) -> Iterator[None]:
    """Be the owner of the index, so that no server runs or starts meanwhile."""
    owner = Owner(settings.data_dir)
    owner.acquire()
    try:
        yield
    finally:
        owner.release()


def _check_empty(settings: Settings, database: Path) -> None:
    found = [path for path in settings.data_dir.iterdir() if path.name not in OWNERS_FILES]
    if database.exists():
        found.append(database)
    if found:
        raise WouldOverwrite(
            f"there is a catalogue here already ({found[0]}); --force puts the backup in its place"
        )


@contextmanager
def _prepared(file: Path, database: Path) -> Iterator[Path]:
    """Copy a catalogue beside its place, migrated, with every point to be written anew."""
    database.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=database.parent, prefix=".restoring-") as beside:
        ready = Path(shutil.copyfile(file, Path(beside) / database.name))
        db = Database(f"sqlite:///{ready}")
        migrate.migrate(db)
        db.write(queue.forget_points)
        db.close()
        yield ready


def _replace(database: Path, ready: Path, report: Report) -> None:
    """Replace the content of a catalogue, whoever may have it open, in one transaction."""
    database.touch()
    with opened(ready, mode="rw") as source, opened(database, mode="rw") as target:
        source.backup(target, pages=PAGES, progress=lambda _, left, all_: report(all_ - left, all_))
        target.execute("PRAGMA wal_checkpoint(TRUNCATE)")
