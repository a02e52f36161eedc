"""The file that `lookalike train finetune` writes: a tuned tail, its head, and how it was made."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from backend.embedders import archives
from backend.embedders.archives import UNREADABLE
from backend.errors import WeightsUnavailable
from backend.files import replace_file
from backend.images.decode import Size

Half: TypeAlias = npt.NDArray[np.float16]


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """A tuned network without the stem, which is the backbone's; all in float16.

    A vector is made by `fuse` of two parts of length 1: tuned = `head` @ pooled + `head_bias` of
    the tuned tail, and start = `components` @ (pooled - `mean`) of the L2-normalised pooled
    features of the backbone's own tail.
    """

    backbone: str  # the spec for `load_backbone`
    tune_from: str  # the layer that the tail begins with
    input_size: Size
    tail: Mapping[str, Half]  # the tail's state, its batch norms folded
    head: Half  # (size, channels)
    head_bias: Half  # (size,)
    directions: Half  # (categories, size): one for each value of the first label
    mean: Half  # (channels,)
    components: Half  # (start size, channels)
    start_weight: float
    card: Mapping[str, Any]  # data, split, command, metrics; JSON

    def save(self, path: Path) -> None:
        """Write an .npz, atomically."""
        arrays: dict[str, Any] = {f"tail.{name}": array for name, array in self.tail.items()}
        for name in ("head", "head_bias", "directions", "mean", "components"):
            arrays[name] = getattr(self, name)
        about = {
            "backbone": self.backbone,
            "tune_from": self.tune_from,
            "input_size": self.input_size,
            "start_weight": self.start_weight,
            "card": self.card,
        }
        written = io.BytesIO()
        np.savez(written, about=np.array(json.dumps(about)), **arrays)
        replace_file(path, lambda draft: draft.write_bytes(written.getbuffer()))

    @classmethod
    def load(cls, path: Path) -> Checkpoint:
        """Read what `save` wrote. Raises WeightsUnavailable."""
        try:
            with archives.opened(path) as file:
                about = json.loads(str(file["about"]))
                arrays = {name: file[name] for name in file.files if name != "about"}
            tail = {
                name.removeprefix("tail."): arrays.pop(name)
                for name in list(arrays)
                if name.startswith("tail.")
            }
            about["input_size"] = tuple(about["input_size"])
            return cls(tail=tail, **arrays, **about)
        except (*UNREADABLE, TypeError) as error:
            raise WeightsUnavailable(f"no usable checkpoint in {path}: {error}") from None
