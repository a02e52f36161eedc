"""Data sets that torchvision downloads."""

from __future__ import annotations

import sys
from contextlib import redirect_stdout
from pathlib import Path

from backend.errors import UnreadableCatalogue


def download_fashion_mnist(folder: Path) -> Path:
    """Download FashionMNIST's four files, 30 MB, below `folder`; return their folder.

    Files that are there are not downloaded again. Raises UnreadableCatalogue without a network.
    """
    from torchvision.datasets import FashionMNIST  # noqa: PLC0415 - seconds, for this alone

    try:
        with redirect_stdout(sys.stderr):
            FashionMNIST(str(folder), download=True)
    except (OSError, RuntimeError) as error:
        raise UnreadableCatalogue(
            f"FashionMNIST cannot be downloaded ({error}). Name a folder that holds its four "
            "files, train-images-idx3-ubyte.gz and so on; Debian has them in dataset-fashion-mnist"
        ) from None
    return folder
