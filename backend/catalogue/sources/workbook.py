"""An XLSX workbook: the rows of one sheet, read like those of any table.

The sheet is the first one that has a header with a sku, else the first one that holds anything.
Hidden sheets do not count. Rows have the numbers that the spreadsheet shows. Values in
`attributes` keep their types, as `workbook_cells` reads them. A picture of a row is its image, if
the row names none.
"""

from __future__ import annotations

import struct
import warnings
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from itertools import islice
from typing import Any, BinaryIO, Final

from backend.catalogue.sources.cell_texts import as_text
from backend.catalogue.sources.csv_dialect import Header
from backend.catalogue.sources.csv_header import HEADER_LINES
from backend.catalogue.sources.csv_records import TableRecord
from backend.catalogue.sources.feed import (
    FeedRow,
    Reject,
    RowWarning,
    WarningKind,
    kind_of,
)
from backend.catalogue.sources.files import DAMAGED, Files
from backend.catalogue.sources.mapping import FeedMapping
from backend.catalogue.sources.table import Table
from backend.catalogue.sources.workbook_cells import cell_value
from backend.catalogue.sources.workbook_file import WorkbookImages, reading
from backend.catalogue.sources.workbook_parts import MergedCells, SheetParts, read_parts
from backend.catalogue.sources.wrong_cells import record_of
from backend.errors import UnreadableCatalogue
from backend.vectors.image_points import MOST_IMAGES

_WORKBOOK: Final = "xl/workbook.xml"


class Workbook(Table):
    """One sheet of a workbook, and the images that its rows name."""

    form = "XLSX"

    def __init__(self, files: Files, name: str, mapping: FeedMapping) -> None:
        self._sheet = ""
        self._others: list[str] = []
        self._file: BinaryIO
        self._header_at = self._width = 0
        self._parts = SheetParts()
        self._images_in_it = WorkbookImages(files, name)
        super().__init__(files, name, mapping)

    def _read_header(self) -> Header:
        """Find the sheet and its header. Raises UnreadableCatalogue if nothing is in it."""
        fallback: tuple[str, int, list[str]] | None = None
        found: list[tuple[str, int, list[str]]] = []
        with self._opened() as book:
            shown = [sheet for sheet in book.worksheets if sheet.sheet_state == "visible"]
            for sheet in shown:
                for at, row in islice(self._numbered_rows(sheet), HEADER_LINES):
                    names = [" ".join(as_text(cell_value(cell)).split()) for cell in row]
                    if self._is_header(names):
                        found.append((sheet.title, at, names))
                        break
                    if fallback is None and any(names):
                        fallback = sheet.title, at, names
            chosen = found[0] if found else fallback
            if chosen is not None:
                self._parts = self._read_parts(chosen[0])
        if chosen is None:
            raise UnreadableCatalogue(f"{self._name}: the workbook holds no rows")
        self._others = [title for title, _, _ in found[1:]]
        return self._found(*chosen)

    def _remarks(self) -> list[RowWarning]:
        """Add what is left out of the sheet, and that other sheets have skus too."""
        said = super()._remarks()
        said += [RowWarning(WarningKind.OTHER, text) for text in self._parts.left_out]
        if self._others:
            names = ", ".join(map(repr, self._others[:5]))
            text = (
                f"only the sheet {self._sheet!r} is read; those that hold skus too are not "
                f"({names}): put all rows into one sheet, or save each one as a file of its own"
            )
            said.append(RowWarning(WarningKind.OTHER, text))
        return said

    def _found(self, sheet: str, at: int, names: list[str]) -> Header:
        self._sheet, self._header_at = sheet, at
        while names and not names[-1]:
            names.pop()
        self._width = len(names)
        return Header(names, "")

    def _file_records(self) -> Iterator[TableRecord | Reject]:
        if self._parts.pictures:
            self._images_in_it.open()
        with self._opened() as book:
            merged = MergedCells(self._parts.merged)
            for at, row in self._numbered_rows(book[self._sheet]):
                if at > self._header_at and (record := self._record(at, row, merged)):
                    yield record

    def _record(self, at: int, row: Sequence[Any], merged: MergedCells) -> TableRecord | None:
        """Return a row as a record; None if it is empty or holds the header again."""
        names = self._header.columns[: self._width]
        values = [cell_value(cell) for cell in row[: self._width]]
        values = self._parts.mended(at, values)
        if values.count(None) == len(values) or values == names:
            return None
        values = merged.filled(at, [*values, *[None] * (self._width - len(values))])
        return record_of(at, values, names)

    def _row(self, record: TableRecord) -> FeedRow | Reject:
        """Add the pictures of a row that names no image."""
        row = super()._row(record)
        members = self._parts.pictures.get(record.line)
        if isinstance(row, Reject) or not members or self._has_template:
            return row
        if row.image or row.further or row.fields.get("image_uri"):
            return row
        kept = tuple(it for it in row.warnings if kind_of(it) is not WarningKind.NO_IMAGE)
        images, wrong = self._images_in_it.find(members[:MOST_IMAGES])
        row = replace(row, warnings=(*kept, *wrong))
        if not images:
            return row
        first, *further = images
        return replace(row, image=first, further=tuple(further) if further else row.further)

    def close(self) -> None:
        """Close the file. Images cannot be read any more."""
        self._images_in_it.close()
        super().close()

    def _numbered_rows(self, sheet: Any) -> Iterator[tuple[int, Sequence[Any]]]:
        """Yield the number and the cells of each row.

        What the file says of its size is not trusted.
        """
        sheet.reset_dimensions()
        yield from enumerate(sheet.iter_rows(), 1)

    @contextmanager
    def _opened(self) -> Iterator[Any]:
        """Open the workbook. Raises UnreadableCatalogue for a damaged one, also while it is read.

        openpyxl warns of styles and extensions that it does not know; no value depends on them.
        """
        from openpyxl import load_workbook  # noqa: PLC0415 - 0.2 s, for one kind of file

        warnings.filterwarnings("ignore", category=UserWarning, module=r"openpyxl\b")
        with reading(self._files, self._name) as file:
            self._file = file
            book = load_workbook(file, read_only=True, data_only=True, keep_links=False)
            try:
                yield book
            finally:
                book.close()

    def _read_parts(self, sheet: str) -> SheetParts:
        """Return what a sheet holds beside values, of the opened workbook."""
        return read_parts(self._file, sheet)


def is_workbook(stream: BinaryIO) -> bool:
    """Tell whether a file is a zip with the parts of an XLSX workbook."""
    with suppress(ValueError, struct.error, *DAMAGED), zipfile.ZipFile(stream) as parts:
        return _WORKBOOK in parts.namelist()
    return False
