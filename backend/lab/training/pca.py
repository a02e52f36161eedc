"""Fit the PCA of an embedder's features, on products that benchmarks do not use as queries.

    python -m backend.lab.training.pca CATALOGUE --out FILE.npz [--features SPEC]

Queries are drawn as everywhere in the project: the first 10,000 of a seeded permutation of the
products with images, in the file's order. The PCA is fitted on a sample of the others. In a smaller
catalogue `--queries` has to be smaller, too.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Annotated, Final, NamedTuple

import numpy as np
import numpy.typing as npt
import typer
from rich.progress import track

from backend.catalogue.sources import open_source
from backend.catalogue.sources.feed import FeedRow, ImageFile
from backend.embedders import Embedder, FloatArray, load
from backend.embedders.pca import Pca
from backend.errors import ConfigurationError, LookalikeError
from backend.images.decoder_pool import Decoded, DecoderPool
from backend.images.limits import ImageLimits
from backend.lab.principal_axes import fit_principal_axes

BATCH: Final = 64

FEATURES: Final = "efficientnet-lite0?pool=avg&pca=none&colour=0"
"""The embedder that is projected by default: the network's features alone, L2-normalised."""

MOST_FEATURES: Final = 8_192  # beyond, their covariance is a matrix of a gigabyte

LEAST_VARIANCE: Final = 1e-7
"""Of the first axis. An axis of less is rounding: evened out, it would be noise, or infinite."""


class FittedPca(NamedTuple):
    """The arrays of a fitted PCA."""

    mean: npt.NDArray[np.float16]  # (features,)
    components: npt.NDArray[np.float16]  # (size, features)
    variances: npt.NDArray[np.float32]  # (size,), of the features along each component


def fit(features: Iterator[FloatArray], *, size: int, whitening: float) -> FittedPca:
    """Fit a PCA on chunks of features (n, features).

    Components are scaled by variance ** (-whitening / 2): 0 is a plain PCA, 1 gives all components
    the same variance. Each points to where its largest weight is positive, so that a second fit
    gives the same. There are fewer than `size` where fewer axes have a variance. Raises
    ConfigurationError where there are no features, or all are the same.
    """
    chunks = list(features)
    if not chunks:
        raise ConfigurationError("none of the images can be used")
    axes = fit_principal_axes(np.concatenate(chunks))
    least = max(LEAST_VARIANCE * axes.variances[0], np.finfo(np.float32).tiny)
    kept = min(size, int((axes.variances > least).sum()))
    if not kept:
        raise ConfigurationError("all images look the same, so nothing can be fitted")
    variances = axes.variances[:kept]
    scales = variances ** (-whitening / 2)
    return FittedPca(
        mean=axes.mean.astype(np.float16),
        components=(axes.directions[:kept] * scales[:, None]).astype(np.float16),
        variances=variances.astype(np.float32),
    )


def draw_images(
    images: Sequence[ImageFile], *, queries: int, count: int, seed: int
) -> list[ImageFile]:
    """Draw up to `count` images, after the first `queries` of the permutation.

    Raises ConfigurationError where none are left.
    """
    if len(images) <= queries:
        raise ConfigurationError(
            f"the catalogue has {len(images):,} products with an image, and the first {queries:,} "
            "are left out, since evaluations ask for them: name fewer, such as --queries 0"
        )
    order = np.random.RandomState(seed).permutation(len(images))
    return [images[position] for position in order[queries : queries + count]]


def embed_images(embedder: Embedder, sources: Sequence[ImageFile]) -> Iterator[FloatArray]:
    """Yield the vectors of images in chunks (n, size); images that cannot be used are left out."""
    limits = ImageLimits()
    with DecoderPool(1, limits=limits) as decoders:
        files = (source.read(limits.max_bytes) for source in sources)
        decoded = decoders.decode_all(files, target=embedder.input_size, window=2 * BATCH)
        images = (one.image for one in decoded if isinstance(one, Decoded))
        while batch := list(islice(images, BATCH)):
            yield embedder.embed(batch)


def main(
    catalogue: Annotated[Path, typer.Argument(help="a folder or zip with styles.csv and images/")],
    out: Annotated[Path, typer.Option(help="the .npz to write")],
    size: Annotated[int, typer.Option(help="dimensions that are kept")] = 256,
    whitening: Annotated[float, typer.Option(help="0: plain PCA; 1: equal variances")] = 0.25,
    count: Annotated[int, typer.Option(help="products to fit on")] = 20_000,
    queries: Annotated[int, typer.Option(help="products drawn first and left out")] = 10_000,
    seed: Annotated[int, typer.Option(help="decides the permutation of products")] = 0,
    features: Annotated[str, typer.Option(help="the embedder to project")] = FEATURES,
) -> None:
    """Fit a PCA of an embedder's features and write it with its provenance."""
    embedder = load(features)
    if embedder.size > MOST_FEATURES:
        raise typer.BadParameter(f"{features} has more than {MOST_FEATURES:,} dimensions")
    rows = open_source(catalogue).read()
    found = [row.image for row in rows if isinstance(row, FeedRow) and row.image]
    chosen = draw_images(found, queries=queries, count=count, seed=seed)
    chunks = embed_images(embedder, chosen)
    progress = track(chunks, description="embedding", total=-(-len(chosen) // BATCH))
    fitted = fit(iter(progress), size=size, whitening=whitening)
    if len(fitted.components) < size:
        typer.echo(f"{len(fitted.components)} dimensions: further ones have no variance", err=True)
    provenance = {
        "command": f"python -m backend.lab.training.pca CATALOGUE --size {size} "
        f"--whitening {whitening:g} --count {count} --queries {queries} --seed {seed}"
        + ("" if features == FEATURES else f" --features '{features}'"),
        "catalogue": catalogue.name,
        "products": len(chosen),
        "features": features,
        "fingerprint": embedder.fingerprint,
    }
    Pca(**fitted._asdict(), provenance=provenance).save(out)


if __name__ == "__main__":
    try:
        typer.run(main)
    except LookalikeError as error:
        sys.exit(error.message)
