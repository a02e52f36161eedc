"""Where products come from: each source reads one kind of catalogue into rows and rejects.

`open_source(path)` picks one. A source never raises for a bad row: it says what is wrong with it.
Read `rows` (what a source gives), `table` (any CSV), `styles_csv`, then `records` and `files`.
"""

from __future__ import annotations

import zipfile
from pathlib import Path

from backend.catalogue.sources.deepfashion import DeepFashion, is_benchmark
from backend.catalogue.sources.fashion_mnist import FashionMnist, find_folder
from backend.catalogue.sources.feed import Source
from backend.catalogue.sources.files import STYLES, Archive, Files, Folder
from backend.catalogue.sources.mapping import DEFAULT_MAPPING, FeedMapping
from backend.catalogue.sources.parquet import SUFFIXES, Parquet
from backend.catalogue.sources.styles_csv import StylesCsv
from backend.catalogue.sources.table import Table
from backend.errors import UnreadableCatalogue


def open_source(path: Path, mapping: FeedMapping = DEFAULT_MAPPING) -> Source:
    """Open a folder or zip with a styles.csv (or another single table), or a bare table file.

    Folders with the files of FashionMNIST, or the lists of DeepFashion's benchmark, are recognised
    by their names. Raises UnreadableCatalogue for anything else, ConfigurationError for a wrong
    mapping, or where a package is missing.
    """
    if not path.exists():
        raise UnreadableCatalogue(f"there is no {path}")
    if path.is_dir() and (folder := find_folder(path)):
        return FashionMnist(folder)
    if path.is_dir() and is_benchmark(path):
        return DeepFashion(path)
    files: Files
    if path.is_dir():
        files = Folder(path)
        name = files.table()
    elif zipfile.is_zipfile(path):
        files = Archive(path)
        name = files.table()
    else:
        files, name = Folder(path.parent), path.name
    if name.lower().endswith(SUFFIXES):
        return Parquet(files, name, mapping)
    kind = StylesCsv if name == STYLES else Table
    return kind(files, name, mapping)
