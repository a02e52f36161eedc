"""Statistics that turn kept features into vectors: the shipped ones, or those of one shop."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from backend.embedders import Block, FloatArray
from backend.embedders.archives import UNREADABLE
from backend.embedders.kept_features import COLOUR, KIND, LOOK
from backend.embedders.kept_rows import look_of
from backend.embedders.pixels import normalise
from backend.errors import WeightsUnavailable


@dataclass(frozen=True, eq=False)
class ColourMap:
    """A linear map of kept colours: `(colours - mean) @ components.T`."""

    mean: npt.NDArray[np.float32]  # (64,)
    components: npt.NDArray[np.float16]  # (64, 64)

    def __call__(self, colours: FloatArray) -> FloatArray:
        """Map colours (n, 64) to (n, 64), of any length."""
        centred = colours - self.mean
        return np.asarray(centred @ self.components.astype(np.float32).T, np.float32)


@dataclass(frozen=True, kw_only=True, eq=False)
class BlockStatistics:
    """A linear map of the look, and the weights of the parts.

    A vector is the block `look`, made of (mapped look, `kind_weight` * kind), and the block
    `colour`, which is `colour_weight` as long as the other one. Colours are mapped, too, where
    `colour_map` is there.
    """

    mean: npt.NDArray[np.float32]  # (768,), or (992,) with rows
    components: npt.NDArray[np.float16]  # (size, 768 or 992)
    kind_weight: float
    colour_weight: float
    colour_map: ColourMap | None = None  # None: colours as they are kept
    class_looks: npt.NDArray[np.float16] | None = None  # (classes, look); None: not known
    card: Mapping[str, Any] = field(default_factory=dict)  # how it was made: JSON

    @property
    def blocks(self) -> tuple[Block, ...]:
        """The blocks of the vectors."""
        look = len(self.components) + KIND.stop - KIND.start
        return Block("look", 0, look), Block("colour", look, look + COLOUR.stop - COLOUR.start)

    @property
    def reads_rows(self) -> bool:
        """Whether the map reads the rows of images, which not all kept features have."""
        return bool(self.components.shape[1] > LOOK.stop)

    def project(self, features: FloatArray) -> FloatArray:
        """Turn kept features (n, SIZE or WITH_ROWS) into vectors (n, size), L2-normalised."""
        centred = look_of(features, with_rows=self.reads_rows) - self.mean
        mapped = normalise(centred @ self._components.T)
        look = normalise(np.hstack([mapped, self.kind_weight * features[:, KIND]]))
        share = np.float32(self.colour_weight**2 / (1 + self.colour_weight**2))
        colour = features[:, COLOUR]
        if self.colour_map is not None:
            colour = self.colour_map(colour)
        colour = normalise(colour)
        return np.hstack([np.sqrt(1 - share) * look, np.sqrt(share) * colour])

    @cached_property
    def _components(self) -> FloatArray:
        return self.components.astype(np.float32)

    def move_to_class(self, vectors: FloatArray, shares: FloatArray) -> FloatArray:
        """Move the look of vectors half the way to the mean of their classes; lengths stay.

        `shares` (n, classes) tells how much of each class they are.
        """
        if self.class_looks is None:
            return vectors
        towards = shares @ self.class_looks.astype(np.float32)
        far = np.linalg.norm(towards, axis=1, keepdims=True)
        towards = np.where(far > 0, normalise(towards), 0)  # 0: the shop has no such class
        look = vectors[:, : towards.shape[1]]
        length = np.linalg.norm(look, axis=1, keepdims=True)
        moved = length * normalise(normalise(look) + towards)
        return np.hstack([moved, vectors[:, towards.shape[1] :]], dtype=np.float32)

    def to_bytes(self) -> bytes:
        """Return the content of a file; equal statistics give equal bytes."""
        about = {"kind": self.kind_weight, "colour": self.colour_weight, "card": dict(self.card)}
        written = io.BytesIO()
        arrays = {
            "about": np.array(json.dumps(about, sort_keys=True)),
            "mean": self.mean,
            "components": self.components,
        }
        if self.class_looks is not None:
            arrays["class_looks"] = self.class_looks
        if self.colour_map is not None:
            arrays["colour_mean"] = self.colour_map.mean
            arrays["colour_components"] = self.colour_map.components
        np.savez(written, allow_pickle=False, **arrays)
        return written.getvalue()

    @classmethod
    def from_bytes(cls, content: bytes) -> BlockStatistics:
        """Read what `to_bytes` returned. Raises WeightsUnavailable."""
        try:
            with np.load(io.BytesIO(content), allow_pickle=False) as file:
                about = json.loads(str(file["about"]))
                colour_map = None
                if "colour_mean" in file:
                    colour_map = ColourMap(file["colour_mean"], file["colour_components"])
                return cls(
                    mean=file["mean"],
                    components=file["components"],
                    kind_weight=about["kind"],
                    colour_weight=about["colour"],
                    colour_map=colour_map,
                    class_looks=file.get("class_looks"),
                    card=about["card"],
                )
        except UNREADABLE as error:
            raise WeightsUnavailable(f"the statistics cannot be read: {error}") from None

    @property
    def digest(self) -> str:
        """What names these statistics: sha256 of all that changes a stored vector, in hex."""
        digest = hashlib.sha256(f"{self.kind_weight} {self.colour_weight}".encode())
        digest.update(self.mean.tobytes() + self.components.tobytes())
        if self.colour_map is not None:
            digest.update(self.colour_map.mean.tobytes() + self.colour_map.components.tobytes())
        return digest.hexdigest()
