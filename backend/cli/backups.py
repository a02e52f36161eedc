"""`lookalike backup` and `lookalike restore`: the embedded default's own."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from backend.cli.common import AsJson, bar, err, out, print_json, settings

if TYPE_CHECKING:
    from backend.backup import Manifest

Folder = Annotated[
    Path, typer.Argument(metavar="DIR", help="The backup's folder, apart from the data folder.")
]


def backup(
    folder: Folder,
    copy_images: Annotated[
        bool, typer.Option("--copy-images", help="Also copy images that lie in a folder of yours.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Back up catalogue, vectors and stored images, while the server runs and imports go on.

    A folder that holds a backup already is brought up to date, and only new images are copied. The
    index is left out: it is derived, and refills after a restore without embedding anything. For
    PostgreSQL and a Qdrant server see docs/backup.md.
    """
    from backend import backup as backups

    made = backups.save(settings(), folder, copy_images=copy_images, bar=bar)
    _tell("Backed up", made, as_json=as_json)
    if made.in_place and not as_json:
        err.print("--copy-images takes them in.")


def restore(
    folder: Folder,
    force: Annotated[
        bool, typer.Option("--force", help="Replace what lies in the data folder.")
    ] = False,
    partial: Annotated[
        bool, typer.Option("--partial", help="Do without images that the backup has lost.")
    ] = False,
    only_check: Annotated[
        bool, typer.Option("--check", help="Only read the whole backup and say if it is sound.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Put a backup into the data folder, after checking it; the server must not run.

    The next start refills the index from the stored vectors. A backup of an older version is
    migrated.
    """
    from backend import backup as backups

    if only_check:
        _tell("Sound:", backups.check(folder, bar=bar), as_json=as_json)
        return
    done = backups.restore(settings(), folder, force=force, partial=partial, bar=bar)
    _tell("Restored", done, as_json=as_json)


def _tell(what: str, manifest: Manifest, *, as_json: bool) -> None:
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
        err.print(f"{len(manifest.missing):,} images were lost before the backup was made.")
    if manifest.in_place:
        folders = ", ".join(manifest.folders)
        err.print(
            f"The images of {manifest.in_place:,} products lie in place and are not in it: "
            f"{folders}.",
            highlight=False,
            soft_wrap=True,
        )
