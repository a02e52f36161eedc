"""The real catalogue of LOOKALIKE_SHARED_DATA: 40,000 products, of which tests take some."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Final

ALL: Final = 40_000
_ZIP: Final = "fashion-products-small.zip"


def whole(shared_data: Path) -> Path:
    """Return the path of the whole catalogue, a zip."""
    return shared_data / _ZIP


def unpack(shared_data: Path, folder: Path, count: int, *, only_with_image: bool = False) -> Path:
    """Write the first products, with their images, as a folder of Kaggle's layout; return it.

    A few products of the catalogue have no image.
    """
    (folder / "images").mkdir(parents=True)
    with zipfile.ZipFile(whole(shared_data)) as archive:
        members = {Path(name).name: name for name in archive.namelist()}
        head, *rows = archive.read(members["styles.csv"]).decode().splitlines()
        names = [f"{row.split(',', 1)[0]}.jpg" for row in rows]
        pairs = list(zip(rows, names, strict=True))
        taken = [pair for pair in pairs if pair[1] in members or not only_with_image][:count]
        lines = [head, *(row for row, _ in taken)]
        (folder / "styles.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
        for _, name in taken:
            if name in members:
                (folder / "images" / name).write_bytes(archive.read(members[name]))
    return folder


def skus_of(folder: Path) -> tuple[list[str], set[str]]:
    """Return the skus of an unpacked catalogue, in order, and those without an image."""
    _, *rows = (folder / "styles.csv").read_text(encoding="utf-8").splitlines()
    skus = [row.split(",", 1)[0] for row in rows]
    return skus, {sku for sku in skus if not (folder / "images" / f"{sku}.jpg").exists()}
