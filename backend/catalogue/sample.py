"""The sample catalogue that ships with the package, drawn by `examples/sample_catalogue`."""

from __future__ import annotations

import zipfile
from importlib import resources
from pathlib import Path
from typing import Final

from backend.catalogue.sources.files import STYLES

PRODUCTS: Final = 300


def unpack_sample(folder: Path, *, products: int = PRODUCTS) -> None:
    """Write the sample's first products as a catalogue: styles.csv, images/ and styles/.

    styles.csv is written last, so that a folder which holds it holds everything.
    """
    shipped = resources.files("backend.catalogue").joinpath("data/sample-catalogue.zip")
    with shipped.open("rb") as file, zipfile.ZipFile(file) as archive:
        header, *rows = archive.read(STYLES).decode("utf-8").splitlines()
        rows = rows[:products]
        wanted = {row.partition(",")[0] for row in rows}
        for name in archive.namelist():
            if Path(name).stem in wanted:
                archive.extract(name, folder)
    (folder / STYLES).write_text("\n".join([header, *rows, ""]), encoding="utf-8")
