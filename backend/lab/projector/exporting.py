"""Export a sample of the catalogue into a folder: `lookalike projector`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import numpy as np

from backend.database.engine import Database
from backend.errors import NotEvaluable
from backend.lab.evaluation.labels import COLUMNS, CatalogueProduct, Labels, label, read_products
from backend.lab.evaluation.stored_vectors import known_digests, load_vectors
from backend.lab.projector import maps, page, sprite, tensorboard_folder
from backend.lab.projector.sampling import Sample, distinguishing_fields, stratify
from backend.lab.types import Floats, OpenImage, Report

PAGE: Final = "scatter.html"


def draw_sample(
    db: Database, fingerprint: str, *, count: int, by: str | None = None, seed: int = 0
) -> Sample:
    """Draw up to `count` products that have a vector of this embedder, stratified by category.

    `by` is a column or an attribute; by default the article type, or else the first field that
    distinguishes products. Raises NotEvaluable when no product has a vector, or none has `by`.
    """
    with db.read() as session:
        everything = read_products(session)
    known = known_digests(db, fingerprint, (product.digest for product in everything))
    products = [product for product in everything if product.digest in known]
    if not products:
        raise NotEvaluable("no product has a vector of this embedder yet: run `lookalike index`")
    by = by or next(iter(distinguishing_fields(products, first="article_type")), None)
    chosen = stratify(_labels(products, by), count, seed=seed)
    drawn = [products[position] for position in chosen]
    vectors = load_vectors(db, fingerprint, [str(product.digest) for product in drawn])
    fields = distinguishing_fields(drawn, first=by or COLUMNS[0])
    return Sample(products=drawn, vectors=vectors, fields=fields)


def export(
    folder: Path,
    sample: Sample,
    flat: Mapping[str, Floats],
    *,
    note: str,
    open_image: OpenImage,
    report: Report,
) -> Path:
    """Write the folder for TensorBoard, and the page with these maps in it; return its path.

    `flat` has the maps by name, (products, 2) each, from 0 to 1.
    """
    uris = [product.uri for product in sample.products]
    sheet = sprite.draw_sprite(uris, open_image, report=report)
    side = sprite.tile_side(len(uris))
    tensorboard_folder.write_folder(folder, sample, sheet, side=side)
    written = folder / PAGE
    written.write_text(page.render(sample, flat, sheet, side=side, note=note), "utf-8")
    return written


def flatten(sample: Sample, *, with_umap: bool) -> Mapping[str, Floats]:
    """Return the maps by name, (products, 2) each; UMAP is the first, if wanted.

    Raises ConfigurationError if UMAP is wanted but not installed.
    """
    pca, share = maps.pca_map(sample.vectors)
    linear = {f"PCA ({share:.0%} of variance)": pca}
    return {"UMAP": maps.umap_map(sample.vectors), **linear} if with_umap else linear


def _labels(products: list[CatalogueProduct], by: str | None) -> Labels:
    if by is None:
        return Labels(by="", names=[], codes=np.full(len(products), -1, np.int64))
    return label(products, by)
