"""The bytes of a CSV file -> records, even if it was badly exported.

Only single lines are rejected, never the rest of the file. A quote in the wrong place makes a CSV
reader take thousands of lines for one field; here it costs at most its own line.
"""

from __future__ import annotations

import csv
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, BinaryIO, Final, NamedTuple

from backend.catalogue.sources.feed import Reject
from backend.catalogue.sources.files import DAMAGED
from backend.errors import UnreadableCatalogue

LONGEST_LINE: Final = 1_000_000  # bytes; the rest is dropped, so the record does not fit the header
DELIMITERS: Final = ",;\t|"


class TableRecord(NamedTuple):
    """The values of one record, as many as there are columns."""

    line: int
    values: Sequence[Any]  # text; a file with types, such as Parquet, holds other values too
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Header:
    """The first line of a file."""

    columns: Sequence[str]
    delimiter: str


def read_header(stream: BinaryIO) -> Header:
    """Read the first line. Raises UnreadableCatalogue if it cannot be that of a CSV file."""
    first = _read_line(stream)
    if first.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise UnreadableCatalogue("the file is in UTF-16; save it as UTF-8")
    text = _decode(first.removeprefix(b"\xef\xbb\xbf"))[0].strip("\r\n")
    if not text.strip():
        raise UnreadableCatalogue("the file is empty, or begins with an empty line")
    delimiter = max(DELIMITERS, key=text.count)
    try:
        names = next(csv.reader([text], delimiter=delimiter, strict=True))
    except csv.Error as error:
        raise UnreadableCatalogue(f"the header is not one of a CSV file: {error}") from None
    return Header([name.strip() for name in names], delimiter)


def read_records(
    stream: BinaryIO, header: Header, *, key: int = 0, free_text: int | None = None
) -> Iterator[TableRecord | Reject]:
    """Read what follows the header; empty lines are skipped.

    `key` is the column that names a reject. `free_text` is the column whose values may contain
    delimiters without quotes: if a record has too many values, the surplus is joined there.
    """
    lines = _Lines(stream)
    reader = csv.reader(lines, delimiter=header.delimiter, strict=True)
    while True:
        lines.taken.clear()
        try:
            values: Sequence[str] | None = next(reader)
        except StopIteration:
            return
        except csv.Error:
            values = None
        warnings: tuple[str, ...] = ()
        if values is None or (len(lines.taken) > 1 and len(values) != len(header.columns)):
            try:
                values, warnings = _first_line_alone(lines, header, values)
            except csv.Error as error:
                lines.give_back()
                yield Reject(lines.taken[0].number, None, str(error))
                continue
        if any(value.strip() for value in values):
            yield _fitted(lines, header, values, warnings, key=key, free_text=free_text)


def _first_line_alone(
    lines: _Lines, header: Header, several: Sequence[str] | None
) -> tuple[Sequence[str], tuple[str, ...]]:
    """Read the first line without regard to quotes, and give the other lines back.

    If that does not fit the header either, return `several`: what all lines gave together.
    """
    text = lines.taken[0].text.replace("\r", " ")
    values = next(csv.reader([text], delimiter=header.delimiter, quoting=csv.QUOTE_NONE))
    if several is not None and len(values) != len(header.columns):
        return several, ()
    lines.give_back()
    return values, ("quotes that do not match were taken literally",)


def _fitted(
    lines: _Lines,
    header: Header,
    values: Sequence[str],
    warnings: tuple[str, ...],
    *,
    key: int,
    free_text: int | None,
) -> TableRecord | Reject:
    """Fit values into the columns; return a reject with the reason if they do not fit."""
    line = lines.taken[0].number
    columns = len(header.columns)
    surplus = len(values) - columns
    if surplus > 0 and not any(values[columns:]):
        values, surplus = values[:columns], 0  # delimiters at the end of the line
    if surplus > 0 and free_text is not None:
        end = free_text + surplus + 1
        joined = header.delimiter.join(values[free_text:end])
        values = [*values[:free_text], joined, *values[end:]]
        surplus = 0
        warnings += (f"{header.columns[free_text]} holds a {header.delimiter!r} without quotes",)
    if surplus:
        reason = f"{len(values)} values, where the header has {columns} columns"
        sku = values[key].strip() if key < len(values) else ""
        cut_off = ": the line is cut off" if surplus < 0 else ""
        return Reject(line, sku or None, reason + cut_off)
    noted = (warning for taken in lines.taken for warning in taken.warnings)
    return TableRecord(line, values, (*noted, *warnings))


class _Line(NamedTuple):
    number: int
    text: str
    warnings: tuple[str, ...]


@dataclass
class _Lines:
    """The decoded lines of a file; all that were taken, except the first, can be given back."""

    stream: BinaryIO
    number: int = 1  # of the last line read: the header
    taken: list[_Line] = field(default_factory=list)
    again: deque[_Line] = field(default_factory=deque)

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self.again.popleft() if self.again else self._read()
        self.taken.append(line)
        return line.text

    def give_back(self) -> None:
        """Let all lines of this record, except the first, be read again."""
        self.again.extendleft(reversed(self.taken[1:]))
        del self.taken[1:]

    def _read(self) -> _Line:
        raw = rest = _read_line(self.stream)
        if not raw:
            raise StopIteration
        while len(rest) == LONGEST_LINE and not rest.endswith(b"\n"):
            rest = _read_line(self.stream)
        self.number += 1
        return _Line(self.number, *_decode(raw))


def _read_line(stream: BinaryIO) -> bytes:
    try:
        return stream.readline(LONGEST_LINE)
    except DAMAGED as error:
        raise UnreadableCatalogue(f"the file is damaged: {error}") from None


def _decode(raw: bytes) -> tuple[str, tuple[str, ...]]:
    """Decode one line, because files may mix encodings; return warnings about corrections."""
    warnings: tuple[str, ...] = ()
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        text = raw.decode("cp1252", errors="replace")
        warnings = ("not UTF-8; read as Windows-1252, the superset of Latin-1",)
    if "\0" in text:
        return text.replace("\0", ""), (*warnings, "NUL characters were left out")
    return text, warnings
