"""`lookalike projector`: maps of the vectors."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from backend.cli.common import bar, err, out, services
from backend.embedders import short_name

if TYPE_CHECKING:
    from backend.bootstrap import Services

Folder = Annotated[
    Path, typer.Argument(metavar="DIR", help="The folder to write.", show_default=False)
]
Count = Annotated[
    int,
    typer.Option("--sample", min=2, max=100_000, help="Products shown, of all categories."),
]
By = Annotated[
    str | None,
    typer.Option(
        metavar="FIELD",
        help="Stratify the sample and colour it by this field. Default: article_type.",
    ),
]
Spec = Annotated[
    str | None,
    typer.Option(
        "--embedder",
        metavar="SPEC",
        help="Show the stored vectors of another embedder, such as those of `lookalike evaluate`.",
    ),
]
Umap = Annotated[
    bool | None,
    typer.Option(
        "--umap/--no-umap",
        help="Also draw a UMAP map, in about a minute. Default: if umap-learn is installed.",
    ),
]


def projector(
    folder: Folder,
    count: Count = 5_000,
    by: By = None,
    embedder: Spec = None,
    umap: Umap = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the sample.")] = 0,
) -> None:
    """Export vectors, labels and images for TensorBoard's projector, and as an HTML page.

    DIR/scatter.html shows PCA and, with the extra `projector`, UMAP: coloured by any category,
    images on hover, in one file. `tensorboard --logdir DIR` shows the same products in its
    projector. The command reads SQL and images alone, so it can run beside a server.
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
    """Draw the sample, write the folder, print its path."""
    from backend.cli.sheets import open_image
    from backend.lab.projector import exporting

    spec, fingerprint = _identify(found, embedder)
    sample = exporting.draw_sample(found.db, fingerprint, count=count, by=by, seed=seed)
    if umap is None:
        umap = find_spec("umap") is not None
        if not umap:
            err.print("No UMAP map: `pip install 'lookalike\\[projector]'` adds it.", style="dim")
    with err.status("Computing the map"):
        flat = exporting.flatten(sample, with_umap=umap)
    with bar("Drawing the images") as report:
        page = exporting.export(
            folder,
            sample,
            flat,
            note=f"{len(sample.products):,} products · {short_name(spec)}",
            open_image=lambda uri, box: open_image(found, uri, box),
            report=report,
        )
    out.print(f"A page to open in a browser: {page.absolute()}", soft_wrap=True, highlight=False)
    out.print(f"Or: tensorboard --logdir {folder.absolute()}", soft_wrap=True, highlight=False)


def _identify(found: Services, spec: str | None) -> tuple[str, str]:
    """Return spec and fingerprint of the embedder; by default the active generation's."""
    from backend import generations

    if spec:
        return spec, found.embedders.named(spec).fingerprint
    with found.db.read() as session:
        generation = generations.active(session)
        return generation.embedder, generation.fingerprint
