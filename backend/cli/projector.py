"""`lookalike projector`: the latent space to look at."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from backend.cli.common import bar, err, out, services

if TYPE_CHECKING:
    from backend.bootstrap import Services

Folder = Annotated[
    Path, typer.Argument(metavar="DIR", help="The folder to write.", show_default=False)
]
Count = Annotated[
    int,
    typer.Option("--sample", min=2, max=100_000, help="Products shown; each category has a share."),
]
By = Annotated[
    str | None,
    typer.Option(
        metavar="FIELD",
        help="The category that the sample is drawn and first coloured by. Default: article_type.",
    ),
]
Spec = Annotated[
    str | None,
    typer.Option(
        "--embedder",
        metavar="SPEC",
        help="Show the stored vectors of another embedder, such as `lookalike evaluate` leaves.",
    ),
]
Umap = Annotated[
    bool | None,
    typer.Option(
        "--umap/--no-umap",
        help="Lay out by neighbours too: a minute. Default: if umap-learn is installed.",
    ),
]


def projector(
    folder: Folder,
    count: Count = 5_000,
    by: By = None,
    embedder: Spec = None,
    umap: Umap = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the sample.")] = 0,
) -> None:
    """Export vectors, labels and pictures for TensorBoard's projector, and a page of their own.

    DIR/scatter.html shows PCA and, with the extra `projector`, UMAP: coloured by any category,
    pictures on hover, in one file. `tensorboard --logdir DIR` shows the same products in its
    projector. Reads SQL and pictures alone, so it runs beside a server.
    """
    with services() as found:
        write(found, folder, count=count, by=by, embedder=embedder, umap=umap, seed=seed)


def write(
    found: Services,
    folder: Path,
    *,
    count: int,
    by: str | None = None,
    embedder: str | None = None,
    umap: bool | None = None,
    seed: int = 0,
) -> None:
    """Draw the sample and write the folder; say where things lie."""
    from backend.cli.sheets import open_picture
    from backend.lab.projector import exporting

    spec, fingerprint = _encoder(found, embedder)
    sample = exporting.draw_sample(found.db, fingerprint, count=count, by=by, seed=seed)
    if umap is None:
        umap = find_spec("umap") is not None
        if not umap:
            err.print("Without UMAP: pip install 'lookalike\\[projector]' adds it.", style="dim")
    with err.status("Laying out the map"):
        flat = exporting.flatten(sample, with_umap=umap)
    with bar("Drawing the pictures") as report:
        page = exporting.export(
            folder,
            sample,
            flat,
            note=f"{len(sample.products):,} products · {spec}",
            open_picture=lambda uri, box: open_picture(found, uri, box),
            report=report,
        )
    out.print(f"A page to open in a browser: {page.absolute()}", soft_wrap=True, highlight=False)
    out.print(f"Or: tensorboard --logdir {folder.absolute()}", soft_wrap=True, highlight=False)


def _encoder(found: Services, spec: str | None) -> tuple[str, str]:
    """Return spec and fingerprint: those of the active generation unless another is named."""
    from backend import generations

    if spec:
        return spec, found.embedders.named(spec).fingerprint
    with found.db.read() as session:
        generation = generations.active(session)
        return generation.embedder, generation.fingerprint
