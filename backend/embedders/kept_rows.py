"""What `lookalike-blocks` keeps of the rows of an image: where on a product something is.

The maxima of a whole image forget whether lace is at the neck or at the hem. So the maxima of each
row of the network's last map are kept beside them, as 96 numbers by one projection for all rows.
Only statistics that are fitted to a shop read them: `LookFitter` weighs what they tell there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from backend.embedders import FloatArray, archives
from backend.embedders.archives import UNREADABLE
from backend.embedders.fingerprints import fingerprint
from backend.embedders.kept_features import LAST, LOOK, SIZE, root
from backend.embedders.pixels import normalise
from backend.errors import WeightsUnavailable

FILE: Final = Path(__file__).parent / "data" / "lookalike-blocks-rows.npz"

ROWS, ROW_SIZE = 7, 96
MAXIMA: Final = LAST * ROWS  # numbers of the network
SHARE: Final = 0.65
"""Weight of the rows beside the look, chosen on a shop that nothing was fitted on."""

FIRST_OF_LOOK: Final = 320
"""Numbers of the look that a map beside the rows reads: the other ones tell little more."""

WITH_ROWS: Final = SIZE + ROWS * ROW_SIZE
"""Features of an image with its rows. Earlier releases kept the first SIZE of them."""

OF_LOOK_WITH_ROWS: Final = FIRST_OF_LOOK + ROWS * ROW_SIZE
"""Numbers that a map beside the rows reads."""

LEAST_WITH_ROWS: Final = 0.95
"""Of the images, else the rows of all are left out."""


@dataclass(frozen=True, kw_only=True)
class RowReduction:
    """The projection that makes the maxima of each row small."""

    mean: npt.NDArray[np.float16]  # (LAST,)
    components: npt.NDArray[np.float16]  # (ROW_SIZE, LAST)

    def reduce(self, maxima: FloatArray) -> FloatArray:
        """Return the features of rows, (n, ROWS * ROW_SIZE), rounded as they are stored.

        `maxima` (n, LAST * ROWS) are those of the network's last map, channel by channel.
        """
        rows = maxima.reshape(-1, LAST, ROWS).transpose(0, 2, 1).reshape(-1, LAST)
        centred = normalise(root(rows)) - self.mean.astype(np.float32)
        reduced = SHARE * centred @ self.components.astype(np.float32).T
        return reduced.reshape(len(maxima), -1).astype(np.float16).astype(np.float32)

    @property
    def fingerprint(self) -> str:
        """Digest of all that decides the features beside the network."""
        arrays = {"mean": self.mean, "components": self.components}
        return fingerprint({"share": SHARE, "look": FIRST_OF_LOOK}, arrays)


@cache
def shipped_rows() -> RowReduction:
    """Return the projection that ships with the embedder. Raises WeightsUnavailable."""
    try:
        with archives.opened(FILE) as file:
            return RowReduction(mean=file["mean"], components=file["components"])
    except UNREADABLE as error:
        raise WeightsUnavailable(f"no usable projection in {FILE}: {error}") from None


def look_of(features: FloatArray, *, with_rows: bool) -> FloatArray:
    """Return what a map of the look reads of kept features: (n, 768), or with rows (n, 992)."""
    if not with_rows:
        return features[:, LOOK]
    return np.hstack([features[:, :FIRST_OF_LOOK], features[:, SIZE:WITH_ROWS]])


def of_one_length(
    features: Mapping[str, FloatArray], *, with_rows: bool | None = None
) -> dict[str, FloatArray]:
    """Return features of one length, by digest: those with rows alone, or all without rows.

    Images that an earlier release embedded have none. None: as most images have it.
    """
    having = {digest: each for digest, each in features.items() if len(each) == WITH_ROWS}
    if with_rows is None:
        with_rows = len(having) >= LEAST_WITH_ROWS * len(features)
    return having if with_rows else {digest: each[:SIZE] for digest, each in features.items()}
