"""What a sheet of a workbook holds beside values: pictures, merged cells, formulas without results.

The reader of the values leaves these out. They are read from the parts of the file.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import IO, Any, Final
from xml.etree import ElementTree as ET

from backend.catalogue.sources.workbook_pictures import above_cells, in_cells
from backend.catalogue.sources.workbook_xml import (
    DECLARES,
    LargePart,
    Place,
    bare,
    parsed,
    place,
    relation,
    relations,
)
from backend.catalogue.sources.wrong_cells import WrongCell

NO_RESULT: Final = (
    "the cell holds a formula without its result: open the file in a spreadsheet and save it"
)
_WORKBOOK: Final = "xl/workbook.xml"
_TELLING: Final = (b"mergeCell ", b' vm="', b"<f", b":f>", b":f ", b"<drawing", b":drawing")
_IMAGE: Final = re.compile(r"IMAGE\s*\(\s*\"([^\"]+)\"", re.IGNORECASE)
_CHUNK: Final = 1 << 16


@dataclass
class SheetParts:
    """What stands in the cells of one sheet beside values."""

    pictures: dict[int, list[str]] = field(default_factory=dict)  # row -> members of the zip
    addresses: dict[Place, str] = field(default_factory=dict)  # =IMAGE("https://…")
    merged: dict[Place, int] = field(default_factory=dict)  # first cell -> the last row
    in_cells: set[Place] = field(default_factory=set)  # those with a picture; they hold no value
    without_result: set[Place] = field(default_factory=set)  # formulas that were never computed
    left_out: list[str] = field(default_factory=list)  # what could not be read, for the importer

    def mended(self, row: int, values: list[Any]) -> list[Any]:
        """Return the values of a row, with what formulas and pictures stand for."""
        if not (self.addresses or self.in_cells or self.without_result):
            return values
        return [self._mended((row, column), value) for column, value in enumerate(values, 1)]

    def _mended(self, at: Place, value: Any) -> Any:
        if at in self.in_cells:
            return None
        if at in self.addresses:
            return self.addresses[at]
        return WrongCell(NO_RESULT) if value is None and at in self.without_result else value


class MergedCells:
    """Gives each row the values of cells that reach down into it; rows come in order."""

    def __init__(self, last_rows: Mapping[Place, int]) -> None:
        self._last_rows = last_rows
        self._reaching: dict[int, tuple[int, Any]] = {}  # column -> the last row, and the value

    def filled(self, row: int, values: list[Any]) -> list[Any]:
        """Return the values of a row. Where a cell has one of its own, that stays."""
        if not self._last_rows:
            return values
        for column in range(1, len(values) + 1):
            last, value = self._reaching.get(column, (0, None))
            if values[column - 1] is None and row <= last:
                values[column - 1] = value
            if (row, column) in self._last_rows:
                self._reaching[column] = self._last_rows[row, column], values[column - 1]
        return values


def read_parts(file: IO[bytes], sheet: str) -> SheetParts:
    """Read the parts of a sheet, by its title. What is damaged in them is left out."""
    found = SheetParts()
    with zipfile.ZipFile(file) as parts, _noting(found):
        name = _part_of(parts, sheet)
        if not _may_tell(parts, name):
            return found
        scan = _Scan(found)
        with parts.open(name) as stream:
            scan.read(stream)
        pictures: list[tuple[Place, str]] = []
        with _noting(found):
            pictures += in_cells(parts, scan.rich)
            found.in_cells.update(at for at, _ in pictures)
        with _noting(found):
            pictures += above_cells(parts, name, scan.heights)
        for (row, _), member in sorted(pictures):
            found.pictures.setdefault(row, []).append(member)
    return found


@contextmanager
def _noting(found: SheetParts) -> Iterator[None]:
    """Leave out what is damaged, and note what is too large."""
    try:
        yield
    except LargePart as error:
        text = f"the pictures of the sheet are not all read: {error}"
        found.left_out.append(text)
    except (KeyError, ValueError, ET.ParseError):
        pass


def _may_tell(parts: zipfile.ZipFile, name: str) -> bool:
    """Tell whether a sheet may hold anything of this; to look costs less than to parse it."""
    before = b""
    with parts.open(name) as stream:
        while chunk := stream.read(_CHUNK):
            if DECLARES in chunk:
                return False
            if any(each in before + chunk for each in _TELLING):
                return True
            before = chunk[-16:]
    return False


class _Scan:
    """One pass over a sheet's cells."""

    def __init__(self, found: SheetParts) -> None:
        self._found = found
        self.rich: dict[Place, int] = {}  # cell -> number of its rich value, from 1
        self.heights: dict[int, float] = {}  # in points, where they are not the usual ones

    def read(self, stream: IO[bytes]) -> None:
        for _, element in ET.iterparse(stream):  # noqa: S314 - nothing is declared in it
            name = bare(element.tag)
            if name == "row":
                self._row(element)
                element.clear()
            elif name == "mergeCell":
                self._merge(element.get("ref", ""))

    def _row(self, row: ET.Element) -> None:
        with suppress(ValueError):
            self.heights[int(row.get("r", ""))] = float(row.get("ht", ""))
        for cell in row:
            at = place(cell.get("r", ""))
            if at is None:
                continue
            if number := cell.get("vm"):
                self.rich[at] = int(number)
            inside = {bare(each.tag): each.text for each in cell}
            if "f" not in inside:
                continue
            if address := _IMAGE.search(inside["f"] or ""):
                self._found.addresses[at] = address[1]
            elif not (inside.get("v") or "is" in inside or cell.get("t") == "str"):
                self._found.without_result.add(at)

    def _merge(self, ref: str) -> None:
        start, _, end = ref.partition(":")
        first, last = place(start), place(end)
        if first and last and last[0] > first[0]:
            self._found.merged[first] = last[0]


def _part_of(parts: zipfile.ZipFile, sheet: str) -> str:
    """Return the name of the part of a sheet. Raises KeyError."""
    targets = relations(parts, _WORKBOOK)
    for element in parsed(parts, _WORKBOOK).iter():
        if bare(element.tag) == "sheet" and element.get("name") == sheet:
            return targets[relation(element)]
    raise KeyError(sheet)
