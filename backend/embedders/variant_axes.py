"""In which directions the variants of one product differ, as it was learnt on the first shop.

Shade, light and pose change the features of an image in much the same way in every shop. So a shop
whose variants are not known is told by another one what to ignore. `LookFitter` mixes it with what
the shop's own neighbours say. `backend.lab.training.variants` makes the file.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from backend.embedders import archives
from backend.embedders.archives import UNREADABLE
from backend.errors import WeightsUnavailable

FILE: Final = Path(__file__).parent / "data" / "lookalike-blocks-variants.npz"
MOST_AXES: Final = 128


@dataclass(frozen=True, kw_only=True)
class VariantAxes:
    """The covariance of the differences between variants: its first axes, and a rest for all."""

    axes: npt.NDArray[np.float16]  # (features, axes), of length 1
    variances: npt.NDArray[np.float32]  # (axes,)
    rest: float  # the mean variance along all other directions

    @property
    def covariance(self) -> npt.NDArray[np.float64]:
        """The covariance: (features, features)."""
        axes = self.axes.astype(np.float64)
        found: npt.NDArray[np.float64] = (axes * (self.variances - self.rest)) @ axes.T
        found[np.diag_indices_from(found)] += self.rest
        return found

    @classmethod
    def of(cls, covariance: npt.NDArray[np.float64]) -> VariantAxes:
        """Keep the first MOST_AXES axes of a covariance (features, features)."""
        variances, axes = np.linalg.eigh(covariance)
        return cls(
            axes=axes[:, ::-1][:, :MOST_AXES].astype(np.float16),
            variances=variances[::-1][:MOST_AXES].astype(np.float32),
            rest=float(variances[:-MOST_AXES].mean()),
        )

    def write(self, path: Path) -> None:
        """Write the file that ships."""
        rest = np.array(self.rest, np.float32)
        np.savez_compressed(path, axes=self.axes, variances=self.variances, rest=rest)


@cache
def shipped_variants() -> VariantAxes:
    """Return what ships with the embedder. Raises WeightsUnavailable."""
    try:
        with archives.opened(FILE) as file:
            return VariantAxes(
                axes=file["axes"], variances=file["variances"], rest=float(file["rest"])
            )
    except UNREADABLE as error:
        raise WeightsUnavailable(f"no usable axes in {FILE}: {error}") from None
