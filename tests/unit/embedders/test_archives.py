"""A file of weights that is not whole is named, and ends no command with a traceback."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from backend import embedders
from backend.embedders.block_statistics import BlockStatistics
from backend.embedders.checkpoint import Checkpoint
from backend.embedders.kept_features import KeptFeatures
from backend.embedders.pca import Pca
from backend.errors import WeightsUnavailable

DATA = Path(embedders.__file__).parent / "data"
READERS: dict[str, Callable[[Path], object]] = {
    "efficientnet-lite0-pca256.npz": Pca.load,
    "lookalike-blocks.npz": KeptFeatures.load,
    "lookalike-blocks-statistics.npz": lambda path: BlockStatistics.from_bytes(path.read_bytes()),
    "lookalike-fashion.npz": Checkpoint.load,
}


def cut_off(content: bytes) -> bytes:
    return content[: len(content) // 2]


def spoilt(content: bytes) -> bytes:
    third = len(content) // 3
    return content[:third] + b"\xff" * 2000 + content[third + 2000 :]


def empty(_content: bytes) -> bytes:
    return b""


@pytest.mark.parametrize("damage", [cut_off, spoilt, empty])
@pytest.mark.parametrize("name", READERS)
def test_a_damaged_file_of_weights_is_named(
    tmp_path: Path, name: str, damage: Callable[[bytes], bytes]
) -> None:
    read, copy = READERS[name], tmp_path / name
    copy.write_bytes((DATA / name).read_bytes())
    read(copy)
    copy.write_bytes(damage((DATA / name).read_bytes()))
    with pytest.raises(WeightsUnavailable):
        read(copy)
