"""`lookalike backup` and `lookalike restore`, for an embedded installation."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from backend.cli.common import AsJson, bar, err, out, print_json, settings

if TYPE_CHECKING:
    from backend.backup import Manifest

Folder = Annotated[
    Path, typer.Argument(metavar="DIR", help="The backup's folder, outside the data folder.")
]


def backup(
    folder: Folder,
    copy_images: Annotated[
        bool, typer.Option("--copy-images", help="Also copy images that are referenced in place.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Back up the catalogue, vectors and stored images, also while the server runs.

    If the folder already holds a backup, it is updated, and only new images are copied. The index
    is not backed up: after a restore it is refilled from the vectors. For PostgreSQL and a Qdrant
    server see docs/backup.md.
    """
    from backend import backup as backups

    made = backups.save(settings(), folder, copy_images=copy_images, bar=bar)
    _print_manifest("Backed up", made, as_json=as_json)
    if made.in_place and not as_json:
        err.print("With --copy-images they are copied, too.")


def restore(
    folder: Folder,
    force: Annotated[
        bool, typer.Option("--force", help="Replace the contents of the data folder.")
    ] = False,
    partial: Annotated[
        bool, typer.Option("--partial", help="Restore even if images are missing in the backup.")
    ] = False,
    only_check: Annotated[
        bool, typer.Option("--check", help="Only read the whole backup and check it.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Check a backup and copy it into the data folder; the server must not be running.

    The next start refills the index from the stored vectors. A backup of an older version is
    migrated.
    """
    from backend import backup as backups

    if only_check:
        _print_manifest("The backup is complete:", backups.check(folder, bar=bar), as_json=as_json)
        return
    done = backups.restore(settings(), folder, force=force, partial=partial, bar=bar)
    _print_manifest("Restored", done, as_json=as_json)


def _print_manifest(what: str, manifest: Manifest, *, as_json: bool) -> None:
    if as_json:
        print_json(asdict(manifest))
        return
    out.print(
        f"{what} {manifest.products:,} products and {manifest.images:,} images "
        f"({manifest.image_bytes / 1e6:,.1f} MB), as of {manifest.created_at}.",
        highlight=False,
        soft_wrap=True,
    )
    if manifest.missing:
        err.print(f"{len(manifest.missing):,} images were missing when the backup was made.")
    if manifest.in_place:
        folders = ", ".join(manifest.folders)
        err.print(
            f"The images of {manifest.in_place:,} products are referenced in place and not in the "
            f"backup: {folders}.",
            highlight=False,
            soft_wrap=True,
        )
