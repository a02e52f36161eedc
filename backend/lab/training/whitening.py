"""The starting network's features, projected so that all directions have the same variance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from backend.embedders import FloatArray
from backend.embedders.checkpoint import Half
from backend.embedders.pixels import normalise
from backend.lab.principal_axes import fit_principal_axes

REGULARIZER: Final = 1e-5
"""Added to each variance, so that directions of almost no variance do not become noise."""


@dataclass(frozen=True, kw_only=True)
class Whitening:
    """A fitted projection."""

    mean: Half  # (channels,)
    components: Half  # (size, channels)

    def project(self, features: npt.NDArray[np.floating]) -> FloatArray:
        """Project pooled features (n, channels) to (n, size) of length 1."""
        centred = normalise(features) - self.mean.astype(np.float32)
        return normalise(centred @ self.components.astype(np.float32).T)


def fit_whitening(features: FloatArray, *, size: int) -> Whitening:
    """Fit on features (n, channels) of length 1; keep `size` axes, and n / 2 at most."""
    axes = fit_principal_axes(features)
    kept = min(size, len(features) // 2)
    scales = 1 / np.sqrt(axes.variances[:kept] + REGULARIZER)
    return Whitening(
        mean=axes.mean.astype(np.float16),
        components=(axes.directions[:kept] * scales[:, None]).astype(np.float16),
    )
