"""Vectors flattened to a map: two numbers a product."""

from __future__ import annotations

from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from backend.errors import ConfigurationError
from backend.lab.principal_axes import fit_principal_axes

Map: TypeAlias = npt.NDArray[np.float64]
"""(products, 2), each axis from 0 to 1."""

NEIGHBOURS: Final = 15
FEWEST: Final = 5  # products; of fewer, neighbours make no map


def pca_map(vectors: npt.NDArray[np.float32]) -> tuple[Map, float]:
    """Project on the two directions of most variance; return the share of it that they hold."""
    axes = fit_principal_axes(vectors)
    flat = (vectors - axes.mean) @ axes.directions[:2].T
    flat = np.pad(flat, ((0, 0), (0, 2 - flat.shape[1])))
    total = axes.variances.sum()
    return _to_unit(flat), float(axes.variances[:2].sum() / total) if total else 1.0


def umap_map(vectors: npt.NDArray[np.float32], *, seed: int = 0) -> Map:
    """Lay neighbours by cosine beside each other: UMAP, of the package umap-learn.

    The same seed gives the same map. Raises ConfigurationError without the package, or for fewer
    than five products.
    """
    try:
        from umap import UMAP  # noqa: PLC0415 - half a minute to import and compile, if it is there
    except ImportError:
        raise ConfigurationError(
            "UMAP needs the package umap-learn: pip install 'lookalike[projector]'"
        ) from None
    if len(vectors) < FEWEST:
        raise ConfigurationError(f"UMAP needs at least {FEWEST} products; here are {len(vectors)}")
    reducer = UMAP(
        n_neighbors=min(NEIGHBOURS, len(vectors) - 1),
        metric="cosine",
        init="pca",
        random_state=seed,
        n_jobs=1,  # what a seed costs
    )
    return _to_unit(np.asarray(reducer.fit_transform(vectors), np.float64))


def _to_unit(flat: Map) -> Map:
    """Scale both axes alike, so that the longer one runs from 0 to 1, and centre the other."""
    low, high = flat.min(axis=0), flat.max(axis=0)
    extent = max(float((high - low).max()), np.finfo(float).tiny)
    return np.asarray((flat - (low + high) / 2) / extent + 0.5)
