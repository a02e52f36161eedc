"""Projections of vectors to a map: (products, 2), each axis from 0 to 1."""

from __future__ import annotations

from typing import Final

import numpy as np

from backend.embedders import FloatArray
from backend.errors import ConfigurationError
from backend.lab.principal_axes import fit_principal_axes
from backend.lab.types import Floats

NEIGHBOURS: Final = 15
FEWEST: Final = 5  # products that UMAP needs


def pca_map(vectors: FloatArray) -> tuple[Floats, float]:
    """Project (n, size) on the two axes of most variance; also return their share of it all."""
    axes = fit_principal_axes(vectors)
    flat = (vectors - axes.mean) @ axes.directions[:2].T
    flat = np.pad(flat, ((0, 0), (0, 2 - flat.shape[1])))
    total = axes.variances.sum()
    return _to_unit(flat), float(axes.variances[:2].sum() / total) if total else 1.0


def umap_map(vectors: FloatArray, *, seed: int = 0) -> Floats:
    """Place neighbours by cosine near each other, with UMAP of the package umap-learn: (n, 2).

    The method is that of McInnes et al. (2018). The same seed gives the same map. Raises
    ConfigurationError without the package, or for fewer than five products.
    """
    try:
        from umap import UMAP  # noqa: PLC0415 - half a minute to import and compile, if it is there
    except ImportError:
        raise ConfigurationError(
            "UMAP needs the package umap-learn: pip install 'lookalike[projector]'"
        ) from None
    if len(vectors) < FEWEST:
        raise ConfigurationError(f"UMAP needs at least {FEWEST} products; there are {len(vectors)}")
    reducer = UMAP(
        n_neighbors=min(NEIGHBOURS, len(vectors) - 1),
        metric="cosine",
        init="pca",
        random_state=seed,
        n_jobs=1,  # the seed needs this
    )
    return _to_unit(np.asarray(reducer.fit_transform(vectors), np.float64))


def _to_unit(flat: Floats) -> Floats:
    """Scale both axes by the same factor: the longer one runs from 0 to 1, the other is centred."""
    low, high = flat.min(axis=0), flat.max(axis=0)
    extent = max(float((high - low).max()), np.finfo(float).tiny)
    return np.asarray((flat - (low + high) / 2) / extent + 0.5)
