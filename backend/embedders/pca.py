"""A fitted linear projection of a network's features; `backend.training.pca` makes it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from backend.embedders import FloatArray
from backend.errors import WeightsUnavailable


@dataclass(frozen=True, kw_only=True)
class Pca:
    """`(features - mean) @ components.T`, and how it was made."""

    mean: npt.NDArray[np.float16]  # (features,)
    components: npt.NDArray[np.float16]  # (size, features)
    provenance: Mapping[str, Any]

    def project(self, features: FloatArray) -> FloatArray:
        """Project (n, features) to (n, size) float32."""
        return (features - self.mean.astype(np.float32)) @ self.components.astype(np.float32).T

    def save(self, path: Path) -> None:
        """Write an .npz of the two arrays and the provenance as JSON."""
        made = json.dumps(dict(self.provenance), sort_keys=True)
        np.savez(path, mean=self.mean, components=self.components, provenance=np.array(made))

    @classmethod
    def load(cls, path: Path) -> Pca:
        """Read what `save` wrote. Raises WeightsUnavailable."""
        try:
            with np.load(path, allow_pickle=False) as file:
                mean, components = file["mean"], file["components"]
                provenance = json.loads(str(file["provenance"]))
        except (OSError, KeyError, ValueError) as error:
            raise WeightsUnavailable(f"no usable PCA in {path}: {error}") from None
        return cls(mean=mean, components=components, provenance=provenance)
