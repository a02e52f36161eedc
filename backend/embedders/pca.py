"""A fitted linear projection of an embedder's features; `backend.lab.training.pca` makes it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import numpy.typing as npt

from backend.embedders import FloatArray, archives
from backend.embedders.archives import UNREADABLE
from backend.embedders.options import parse_proportion
from backend.errors import UnknownEmbedder, WeightsUnavailable


@dataclass(frozen=True, kw_only=True)
class Pca:
    """`(features - mean) @ components.T`, and how it was made."""

    mean: npt.NDArray[np.float16]  # (features,)
    components: npt.NDArray[np.float16]  # (size, features)
    provenance: Mapping[str, Any]
    variances: npt.NDArray[np.float32] | None = None  # (size,), of the features along each

    def project(self, features: FloatArray) -> FloatArray:
        """Project (n, features) to (n, size) float32."""
        return (features - self.mean.astype(np.float32)) @ self.components.astype(np.float32).T

    def whitened(self, strength: float) -> Pca:
        """Return it with other scales: 0 is a plain PCA, 1 gives all components the same variance.

        Raises UnknownEmbedder if the file does not hold the variances.
        """
        if self.variances is None:
            raise UnknownEmbedder("this PCA's file does not hold its variances: fit it again")
        directions = self.components.astype(np.float64)
        directions /= np.linalg.norm(directions, axis=1, keepdims=True)
        scales = self.variances.astype(np.float64) ** (-strength / 2)
        return replace(self, components=(directions * scales[:, None]).astype(np.float16))

    def check(self, features: int) -> None:
        """Raise WeightsUnavailable unless it was fitted on this number of features."""
        if len(self.mean) != features:
            raise WeightsUnavailable(
                f"the PCA was fitted on {len(self.mean)} features, of "
                f"{self.provenance.get('features', 'another embedder')}; "
                f"this embedder has {features}"
            )

    def save(self, path: Path) -> None:
        """Write an .npz of the arrays and the provenance as JSON."""
        made = json.dumps(dict(self.provenance), sort_keys=True)
        arrays: dict[str, Any] = {"mean": self.mean, "components": self.components}
        if self.variances is not None:
            arrays["variances"] = self.variances
        np.savez(path, provenance=np.array(made), **arrays)

    @classmethod
    def load(cls, path: Path) -> Pca:
        """Read what `save` wrote. Raises WeightsUnavailable."""
        try:
            with archives.opened(path) as file:
                mean, components = file["mean"], file["components"]
                variances = file.get("variances")
                provenance = json.loads(str(file["provenance"]))
        except UNREADABLE as error:
            raise WeightsUnavailable(f"no usable PCA in {path}: {error}") from None
        return cls(mean=mean, components=components, variances=variances, provenance=provenance)


def arrays_of(pca: Pca | None) -> dict[str, npt.NDArray[np.float16]]:
    """Return the arrays that a PCA adds to a fingerprint."""
    return {"pca.mean": pca.mean, "pca.components": pca.components} if pca else {}


def load_pca(pca: str, whitening: str) -> Pca | None:
    """Load the PCA that an embedder's options `pca` and `whitening` name; None for `none`.

    `pca` is `none` or the path of a file of `backend.lab.training.pca`; with an empty `whitening`
    it stays as it was fitted. Raises UnknownEmbedder, WeightsUnavailable.
    """
    if pca == "none":
        if whitening:
            raise UnknownEmbedder(f"whitening={whitening}: there is no PCA to whiten")
        return None
    loaded = Pca.load(Path(pca))
    return loaded.whitened(parse_proportion("whitening", whitening)) if whitening else loaded


def files_of(pca: str) -> tuple[Path, ...]:
    """Return the file that an option `pca` names, if it names one."""
    return () if pca == "none" else (Path(pca),)


def pca_options(pca: str, whitening: str) -> str:
    """Return the two options as in an embedder's name, each with a leading `&`."""
    named = f"&pca={quote(pca, safe='/')}" if pca != "none" else ""
    return named + (f"&whitening={float(whitening):g}" if whitening else "")
