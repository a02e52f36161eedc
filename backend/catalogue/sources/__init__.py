"""Sources of products: each reads one kind of feed, and yields rows and rejects.

`open_source(path)` chooses one. A source never raises for a bad row; it yields a reject with the
reason. Read `feed` (what a source yields), `table` (any form of one), `csv_table`, `styles_csv`,
then `csv_records` and `files`.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, Final

from backend.catalogue.sources.archive import Archive
from backend.catalogue.sources.csv_table import CsvTable
from backend.catalogue.sources.deepfashion import DeepFashion, is_benchmark
from backend.catalogue.sources.fashion_mnist import FashionMnist, find_folder
from backend.catalogue.sources.feed import Source
from backend.catalogue.sources.files import (
    DAMAGED,
    PARQUET,
    STYLES,
    Files,
    Folder,
    choose_tables,
    damage,
    is_least_certain,
    tables_of,
)
from backend.catalogue.sources.google_xml import GoogleXml
from backend.catalogue.sources.inner_archives import inner_archive, packed_archive
from backend.catalogue.sources.json_document import JsonDocument, is_document
from backend.catalogue.sources.json_lines import JsonLines
from backend.catalogue.sources.loose_json import ABOVE, without_comments
from backend.catalogue.sources.mapping import DEFAULT_MAPPING, FeedMapping
from backend.catalogue.sources.open_document import OpenDocument, is_open_document
from backend.catalogue.sources.packing import CHUNK, Packing, unpacked
from backend.catalogue.sources.parquet import Parquet
from backend.catalogue.sources.styles_csv import IMAGE, StylesCsv
from backend.catalogue.sources.table import Table
from backend.catalogue.sources.unreadable import HEAD, check_regular, check_table, check_text
from backend.catalogue.sources.workbook import Workbook, is_workbook
from backend.errors import UnreadableCatalogue

PARQUET_MAGIC = b"PAR1"
ZIP_MAGIC = b"PK\3\4"
_MESSAGES: Final = re.compile(rb"(?:<br\s*/?>|\s)+<b>\w|<b>(?:Warning|Notice|Deprecated)")
"""What PHP writes above the file where a warning came up."""


def open_source(path: Path, mapping: FeedMapping = DEFAULT_MAPPING) -> Source:
    """Open a folder or zip with a styles.csv (or another single table), or a bare table file.

    Folders of FashionMNIST or of DeepFashion's benchmark are recognised by the names of their
    files. Raises UnreadableCatalogue for anything else, with what it is; ConfigurationError for a
    wrong mapping, or where a package is missing.
    """
    check_regular(path)
    if path.is_dir() and (folder := find_folder(path)):
        return FashionMnist(folder)
    if path.is_dir() and is_benchmark(path):
        return DeepFashion(path)
    files, names = _files(path)
    try:
        return _open_table(files, names, mapping)
    except BaseException:
        files.close()
        raise


def _files(path: Path) -> tuple[Files, Sequence[str]]:
    """Return the files of a catalogue, and the names of its table: more than one are its parts."""
    if path.is_dir():
        folder = Folder(path)
        below = folder.only_folder()
        is_sure = any(not is_least_certain(name) for name in tables_of(folder.tables()))
        if not is_sure and below and tables_of(Folder(below).tables()):
            folder = Folder(below)
        return folder, choose_tables(folder.tables())
    if archive := packed_archive(path):
        return archive, choose_tables(archive.tables())
    if zipfile.is_zipfile(path) and not _is_workbook(path):
        archive = inner_archive(Archive(path))
        return archive, choose_tables(archive.tables())
    also = path.resolve().parent if path.is_symlink() else None
    return Folder(path.parent, also=also), [path.name]


def _is_workbook(path: Path) -> bool:
    with path.open("rb") as stream:
        return is_workbook(stream) or is_open_document(stream)


def _open_table(files: Files, names: Sequence[str], mapping: FeedMapping) -> Source:
    """Open a table by its content; its name matters only for styles.csv."""
    name = names[0]
    if workbook := _workbook_in(files, name):
        return workbook(files, name, mapping)
    with files.open(name) as stream:
        head = _head(name, stream)
    if head.startswith(PARQUET_MAGIC) or name.lower().endswith(PARQUET):
        return Parquet(files, names, mapping)
    check_text(name, head[:HEAD])
    kind = _kind(head)
    table = kind(files, name, mapping, image=IMAGE if name == STYLES else None)
    if name == STYLES or table.preset.name == "kaggle":
        return StylesCsv(files, table)
    return table


def _workbook_in(files: Files, name: str) -> type[Workbook] | None:
    with suppress(*DAMAGED), files.open(name) as stream:
        is_zip = stream.read(len(ZIP_MAGIC)) == ZIP_MAGIC
        stream.seek(0)
        if is_zip and is_workbook(stream):
            return Workbook
        stream.seek(0)
        return OpenDocument if is_zip and is_open_document(stream) else None
    return None


def _head(name: str, stream: BinaryIO) -> bytes:
    """Return a file's first bytes, unpacked. Raises UnreadableCatalogue if it is no table."""
    packing = Packing()
    try:
        head = unpacked(stream, packing).read(CHUNK)
    except DAMAGED as error:
        raise UnreadableCatalogue(f"{name}: {damage(error)}") from None
    if not head and packing.ended_early:
        raise UnreadableCatalogue(f"{name}: {packing.ended_early}, and nothing of it can be read")
    check_table(name, head[:HEAD])
    return head


def _kind(head: bytes) -> type[Table]:
    text = head.replace(b"\0", b"").lstrip(b"\xef\xbb\xbf\xff\xfe \t\r\n")
    if text.startswith(b"<") and not _MESSAGES.match(text):
        return GoogleXml
    if above := ABOVE.match(shown := text.decode("utf-8", "replace")):
        shown = shown[above.end() :]
    if shown.startswith(("[", "{")):
        text = without_comments(shown).encode()
    if re.match(rb"\[\s*(?:\[|\"[^\"]*\"\s*[,\]])", text):
        raise UnreadableCatalogue(
            "this is a JSON list, and its items are no objects: write one object for each product"
        )
    if re.match(rb"\[\s*(?:[{\]]|$)|\{", text) and is_document(text.decode("utf-8", "replace")):
        return JsonDocument
    return JsonLines if text.startswith((b"{", b"\x1e")) else CsvTable
