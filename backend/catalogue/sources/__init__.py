"""Sources of products: each reads one kind of feed, and yields rows and rejects.

`open_source(path)` chooses one. A source never raises for a bad row; it yields a reject with the
reason. Read `feed` (what a source yields), `table` (any CSV), `styles_csv`, then `csv_records` and
`files`.
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

    Folders of FashionMNIST or of DeepFashion's benchmark are recognised by the names of their
    files. Raises UnreadableCatalogue for anything else, ConfigurationError for a wrong mapping, or
    where a package is missing.
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
