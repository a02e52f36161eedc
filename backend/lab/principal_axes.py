"""The directions in which a set of vectors varies most: the fit of every PCA in the lab."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, kw_only=True)
class PrincipalAxes:
    """A fitted PCA in float64, the axis of most variance first."""

    mean: npt.NDArray[np.float64]  # (features,)
    directions: npt.NDArray[np.float64]  # (axes, features), of length 1
    variances: npt.NDArray[np.float64]  # (axes,)


def fit_principal_axes(rows: npt.NDArray[np.floating]) -> PrincipalAxes:
    """Fit a PCA on `rows` (n, features); there are min(n, features) axes.

    The largest weight of each direction is positive, so that a second fit gives the same signs.
    """
    mean = rows.mean(axis=0, dtype=np.float64)
    if len(rows) > rows.shape[1]:
        variances, vectors = np.linalg.eigh(np.cov(rows, rowvar=False, dtype=np.float64))
        order = np.argsort(variances)[::-1]
        variances, directions = variances[order], vectors[:, order].T
    else:  # a covariance matrix would be larger than the rows
        _, lengths, directions = np.linalg.svd(rows - mean, full_matrices=False)
        variances = lengths**2 / max(len(rows) - 1, 1)
    largest = np.abs(directions).argmax(axis=1)
    signs = np.sign(directions[np.arange(len(directions)), largest])
    return PrincipalAxes(mean=mean, directions=directions * signs[:, None], variances=variances)
