"""From the catalogue to a folder: what `lookalike projector` does."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, TypeAlias

import numpy as np

from backend.catalogue import image_vectors
from backend.database.engine import Database
from backend.errors import NotEvaluable
from backend.lab.evaluation.products import COLUMNS, Labels, Pictured, label, read_products
from backend.lab.evaluation.vectors import load_vectors
from backend.lab.projector import maps, page, sprite, tensorboard
from backend.lab.projector.sampling import Sample, stratify, telling_fields

Report: TypeAlias = Callable[[int, int], None]

PAGE: Final = "scatter.html"
PART: Final = 1000  # digests of one query


def draw_sample(
    db: Database, fingerprint: str, *, count: int, by: str | None = None, seed: int = 0
) -> Sample:
    """Draw up to `count` products that have a vector of this embedder, in shares of a category.

    `by` is a column or an attribute, by default the article type, else whatever there is. Raises
    NotEvaluable when no product has a vector, or none has `by`.
    """
    with db.read() as session:
        pictured = read_products(session)
    products = _with_vectors(db, fingerprint, pictured)
    if not products:
        raise NotEvaluable("no product has a vector of this embedder yet: run `lookalike index`")
    by = by or _telling(products)
    chosen = stratify(_labels(products, by), count, seed=seed)
    drawn = [products[position] for position in chosen]
    vectors = load_vectors(db, fingerprint, [str(product.digest) for product in drawn])
    fields = telling_fields(drawn, first=by or COLUMNS[0])
    return Sample(products=drawn, vectors=vectors, fields=fields)


def export(
    folder: Path,
    sample: Sample,
    flat: Mapping[str, maps.Map],
    *,
    note: str,
    open_picture: sprite.OpenPicture,
    report: Report,
) -> Path:
    """Write the folder for TensorBoard and, in it, the page with these maps; return its path."""
    uris = [product.uri for product in sample.products]
    sheet = sprite.draw_sprite(uris, open_picture, report=report)
    side = sprite.tile_side(len(uris))
    tensorboard.write_folder(folder, sample, sheet, side=side)
    written = folder / PAGE
    written.write_text(page.render(sample, flat, sheet, side=side, note=note), "utf-8")
    return written


def flatten(sample: Sample, *, with_umap: bool) -> Mapping[str, maps.Map]:
    """Return the maps by name; UMAP, if wanted, first.

    Raises ConfigurationError if UMAP is wanted and cannot be had.
    """
    pca, share = maps.pca_map(sample.vectors)
    linear = {f"PCA ({share:.0%} of variance)": pca}
    return {"UMAP": maps.umap_map(sample.vectors), **linear} if with_umap else linear


def _with_vectors(db: Database, fingerprint: str, products: list[Pictured]) -> list[Pictured]:
    digests = sorted({product.digest for product in products if product.digest})
    known: set[str] = set()
    with db.read() as session:
        for start in range(0, len(digests), PART):
            known |= image_vectors.known(session, fingerprint, digests[start : start + PART])
    return [product for product in products if product.digest in known]


def _telling(products: list[Pictured]) -> str | None:
    found = telling_fields(products, first="article_type")
    return found[0] if found else None


def _labels(products: list[Pictured], by: str | None) -> Labels:
    if by is None:
        return Labels(by="", names=[], codes=np.full(len(products), -1, np.int64))
    return label(products, by)
