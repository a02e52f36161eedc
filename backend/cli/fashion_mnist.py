"""`lookalike fashion-mnist`: import, embed and map a well-known data set."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from backend.cli import catalogue, projector
from backend.cli.common import out, services, settings
from backend.cli.following import run_job
from backend.cli.status import print_status

PACKAGED = Path("/usr/share/datasets/fashion-mnist")
"""Where Debian's package dataset-fashion-mnist puts the files."""

Files = Annotated[
    Path | None,
    typer.Argument(
        metavar="[FOLDER]",
        help="The folder of the four files. Default: that of Debian's dataset-fashion-mnist, else "
        "they are downloaded (30 MB).",
        show_default=False,
    ),
]
Shown = Annotated[int, typer.Option("--sample", min=2, help="Images on the map.")]


def fashion_mnist(files: Files = None, sample: Shown = 5_000) -> None:
    """Import FashionMNIST, embed it and draw its map: 70,000 images, a quarter of an hour.

    All data is in ./fashion-mnist, or in LOOKALIKE_DATA_DIR where that is set. The command can be
    interrupted: the next call continues where this one stopped.
    """
    given = {} if "LOOKALIKE_DATA_DIR" in os.environ else {"data_dir": Path("fashion-mnist")}
    found_settings = settings(**given)
    with services(found_settings) as found:
        from backend.catalogue.sources.mapping import DEFAULT_MAPPING
        from backend.status import status

        folder = files or _files(found_settings.data_dir)
        catalogue.show(catalogue.run_import(found, folder, DEFAULT_MAPPING))
        run_job(found, "index", {}, what="Embedding")
        print_status(status(found.db, found.indexes.look_at_shard), as_json=False)
        projector.write(found, found_settings.data_dir / "projector", count=sample)
    out.print(
        f"Next: LOOKALIKE_DATA_DIR={found_settings.data_dir} lookalike similar test-00000 "
        "--sheet similar.png",
        soft_wrap=True,
        highlight=False,
    )


def _files(data_dir: Path) -> Path:
    """Return the folder of the files; download them if there is none."""
    from backend.catalogue.sources.fashion_mnist import find_folder

    for place in (data_dir, PACKAGED):
        if found := find_folder(place):
            return found
    from backend.lab.training.downloads import download_fashion_mnist

    return download_fashion_mnist(data_dir)
