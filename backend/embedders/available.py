"""What embedders there are, with the size and licence of their weights; no network is loaded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from backend.embedders import lookalike_blocks as blocks
from backend.embedders.efficientnet_lite import weights_file
from backend.embedders.photographs import HEAD
from backend.embedders.tuned import SHIPPED as TUNED

PCA: Final = blocks.DATA / "efficientnet-lite0-pca256.npz"
LICENCE: Final = "Apache-2.0"
"""Of the shipped weights and of EfficientNet-Lite0's: `data/MODEL-CARD.md`."""


@dataclass(frozen=True, kw_only=True)
class Available:
    """One family of embedders."""

    name: str  # as a spec begins; `…` where a variant or a file has to be named
    made_for: str
    dimensions: int | None = None  # with the default options; None: by variant
    licence: str | None = None  # of the weights; None: theirs, or there are none
    weights_bytes: int | None = None  # of all files that it reads; None: by variant
    at_hand: bool | None = None  # whether all of it is on this disk; None: by variant
    missing: str | None = None  # what to do where it is not at hand


def list_available() -> list[Available]:
    """Return the families, the default first."""
    lite0 = weights_file()
    return [
        _shipped(
            "lookalike-blocks",
            "any shop, adapted to it; look and colour; the default",
            512,
            [lite0, TUNED, blocks.REDUCTION, blocks.STATISTICS, HEAD],
        ),
        _shipped("lookalike-fashion", "fashion like the shop of its training", 512, [lite0, TUNED]),
        _shipped("efficientnet-lite0", "any goods, without training", 384, [lite0, PCA]),
        _shipped("colour-histogram", "a baseline", 128, []),
        _shipped("mean-colour", "a baseline", 49, []),
        _shipped("raw-pixels", "a baseline", 14_400, []),
        _by_variant("torchvision/…", "its convolutional networks", "torchvision"),
        _by_variant("timm/…", "its networks", "timm"),
        _by_variant("open-clip/…", "its image towers", "open_clip", "pip install '.[clip]'"),
        _by_variant("tuned?weights=…", "the shop that it was tuned on", "torch"),
        _by_variant("autoencoder?weights=…", "the shop that it was trained on", "torch"),
    ]


def _shipped(name: str, made_for: str, dimensions: int, files: Sequence[Path]) -> Available:
    lost = [path for path in files if not path.is_file()]
    return Available(
        name=name,
        made_for=made_for,
        dimensions=dimensions,
        licence=LICENCE if files else None,
        weights_bytes=None if lost else sum(path.stat().st_size for path in files),
        at_hand=not lost,
        missing=f"there is no file {lost[0]}" if lost else None,
    )


def _by_variant(name: str, made_for: str, package: str, install: str | None = None) -> Available:
    if find_spec(package) is not None:
        return Available(name=name, made_for=made_for)
    missing = install or f"pip install {package}"
    return Available(name=name, made_for=made_for, at_hand=False, missing=missing)
