"""An OpenDocument spreadsheet (ODS), as LibreOffice writes it: read like an XLSX workbook.

Source of the format: OpenDocument 1.3, part 3. The file is parsed as a stream, one row at a time.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import IO, Any, BinaryIO, Final, NamedTuple
from xml.etree import ElementTree as ET

from backend.catalogue.sources.files import DAMAGED
from backend.catalogue.sources.workbook import Workbook
from backend.catalogue.sources.workbook_file import reading
from backend.catalogue.sources.workbook_parts import SheetParts
from backend.catalogue.sources.workbook_xml import DECLARES, bare
from backend.errors import UnreadableCatalogue

_CONTENT: Final = "content.xml"
_KIND: Final = b"application/vnd.oasis.opendocument.spreadsheet"
MOST_ROWS: Final = 1_048_576  # of a sheet; no spreadsheet program has more
_MOST_COLUMNS: Final = 16_384
_MOST_REPEATED: Final = 1_000  # times that a filled cell is repeated
_MOST_COPIES: Final = 200_000  # cells of repeated rows in a sheet; further copies are left out
_MOST_SPACES: Final = 1_000  # in one place
_DIGITS: Final = re.compile(r"0[0-9]+|[0-9]{16,}")
"""Texts that a number does not keep: it has no leading zeros, and 15 digits."""
_WHITE: Final = {"tab": "\t", "line-break": "\n"}


class OpenDocument(Workbook):
    """One sheet of an OpenDocument spreadsheet, and the images that its rows name or hold."""

    form = "ODS"

    @contextmanager
    def _opened(self) -> Iterator[Book]:
        """Open the spreadsheet. Raises UnreadableCatalogue for a damaged one, as for a workbook."""
        with reading(self._files, self._name) as file, zipfile.ZipFile(file) as parts:
            self._file = file
            yield Book(parts)

    def _numbered_rows(self, sheet: Sheet) -> Iterator[tuple[int, list[Cell]]]:
        """Yield the number and the cells of each filled row."""
        return sheet.rows()

    def _read_parts(self, sheet: str) -> SheetParts:
        with zipfile.ZipFile(self._file) as parts:
            return Book(parts)[sheet].parts()


class Cell(NamedTuple):
    """A cell, with the members of openpyxl's that are read here."""

    value: Any
    data_type: str = "n"
    number_format: str = ""


_EMPTY: Final = Cell(None)


class Book:
    """The sheets of a spreadsheet; each is read from the file whenever it is asked for."""

    def __init__(self, parts: zipfile.ZipFile) -> None:
        hidden = set()
        self.worksheets: list[Sheet] = []
        for element, _ in _ended(parts, ("style", "table")):
            style = _get(element, "style-name")
            if bare(element.tag) == "table":
                state = "hidden" if style in hidden else "visible"
                self.worksheets.append(Sheet(parts, str(_get(element, "name") or ""), state))
            elif any(_get(each, "display") == "false" for each in element):
                hidden.add(_get(element, "name"))

    def __getitem__(self, title: str) -> Sheet:
        return next(sheet for sheet in self.worksheets if sheet.title == title)


@dataclass(frozen=True)
class Sheet:
    """One sheet."""

    file: zipfile.ZipFile
    title: str
    sheet_state: str

    def rows(self) -> Iterator[tuple[int, list[Cell]]]:
        """Yield the number and the cells of each filled row. Raises UnreadableCatalogue."""
        at, left = 0, _MOST_COPIES
        for row, repeated in self._rows():
            if cells := _cells(row):
                if at >= MOST_ROWS:
                    raise UnreadableCatalogue(f"a sheet has more than {MOST_ROWS:,} rows")
                copies = min(repeated - 1, left // len(cells), MOST_ROWS - at - 1)
                left -= copies * len(cells)
                yield from ((number, cells) for number in range(at + 1, at + copies + 2))
            at += repeated

    def parts(self) -> SheetParts:
        """Return the pictures and the merged cells."""
        found, at = SheetParts(), 0
        for row, repeated in self._rows():
            at, column = at + 1, 0
            for cell in row:
                column += 1
                if (rows := _count(cell, "number-rows-spanned")) > 1:
                    found.merged[at, column] = at + rows - 1
                links = (_get(it, "href") or "" for it in cell.iter() if bare(it.tag) == "image")
                if members := [link.removeprefix("./") for link in links if "://" not in link]:
                    found.pictures.setdefault(at, []).extend(members)
                column += _count(cell, "number-columns-repeated") - 1
            at += repeated - 1
        return found

    def _rows(self) -> Iterator[tuple[ET.Element, int]]:
        for row, table in _ended(self.file, ("table-row",)):
            if table == self.title:
                yield row, _count(row, "number-rows-repeated")


def is_open_document(stream: BinaryIO) -> bool:
    """Tell whether a file is an OpenDocument spreadsheet."""
    with (
        suppress(ValueError, KeyError, *DAMAGED),
        zipfile.ZipFile(stream) as parts,
        parts.open("mimetype") as kind,
    ):
        return kind.read(len(_KIND) + 10).strip().startswith(_KIND)
    return False


def _ended(
    parts: zipfile.ZipFile, names: tuple[str, ...]
) -> Iterator[tuple[ET.Element, str | None]]:
    """Yield the elements of these names as they end, each with its sheet, and forget them."""
    with parts.open(_CONTENT) as stream:
        _check(stream)
        table: str | None = None
        for event, element in ET.iterparse(stream, ("start", "end")):  # noqa: S314 - see `_check`
            name = bare(element.tag)
            if event == "start" and name == "table":
                table = _get(element, "name")
            elif event == "end" and name in names:
                yield element, table
            if event == "end" and name in ("table-row", "table"):
                element.clear()


def _check(stream: IO[bytes]) -> None:
    """Raise ValueError for a document type, which could declare anything."""
    if DECLARES in stream.read(2_000):
        raise ValueError("it declares a document type")
    stream.seek(0)


def _cells(row: ET.Element) -> list[Cell]:
    """Return the cells of a row up to the last filled one."""
    cells: list[Cell] = []
    empty = 0
    for element in row:
        if bare(element.tag) not in ("table-cell", "covered-table-cell"):
            continue
        often, value = _count(element, "number-columns-repeated"), _value(element)
        if value is None:
            empty += often
            continue
        if len(cells) + empty >= _MOST_COLUMNS:
            break
        cells += [_EMPTY] * empty
        kind = "e" if _get(element, "value-type") == "error" else "n"
        cells += [Cell(value, kind)] * min(often, _MOST_REPEATED)
        empty = 0
    return cells


def _value(cell: ET.Element) -> Any:
    """Return what a cell shows; numbers and flags keep their types.

    A number is a text where it shows leading zeros, or more digits than a number keeps.
    """
    kind = _get(cell, "value-type")
    shown = "\n".join(_text(it) for it in cell if bare(it.tag) == "p") or None
    if kind == "boolean":
        return _get(cell, "boolean-value") == "true"
    if kind == "date":
        return (_get(cell, "date-value") or shown or "").replace("T00:00:00", "") or None
    if kind not in ("float", "currency", "percentage"):
        return shown
    number = float(_get(cell, "value") or "nan")
    if shown and _DIGITS.fullmatch(shown):
        return shown
    currency = _get(cell, "currency")
    return f"{number:.2f} {currency}" if kind == "currency" and currency else number


def _text(element: ET.Element) -> str:
    """Return the text of a paragraph, with the spaces, tabs and line ends that are elements."""
    found = [element.text or ""]
    for inner in element:
        name = bare(inner.tag)
        if name == "s":
            found.append(" " * min(_count(inner, "c"), _MOST_SPACES))
        else:
            found.append(_WHITE.get(name) or _text(inner))
        found.append(inner.tail or "")
    return "".join(found)


def _get(element: ET.Element, name: str) -> str | None:
    """Return an attribute by its name without namespace."""
    return next((value for key, value in element.attrib.items() if bare(key) == name), None)


def _count(element: ET.Element, name: str) -> int:
    found = _get(element, name)
    return int(found) if found and found.isdigit() else 1
