"""The bytes of a CSV file -> records, even if it was badly exported.

Only single lines are rejected, never the rest of the file. A quote in the wrong place makes a CSV
reader take thousands of lines for one field; here it costs at most its own line.
"""

from __future__ import annotations

import csv
import re
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, BinaryIO, Final, NamedTuple

from backend.catalogue.sources.encodings import (
    TITLES,
    Packing,
    TextFormat,
    open_lines,
    single_byte_encoding,
)
from backend.catalogue.sources.feed import CutOff, Reject, RowWarning, WarningKind
from backend.catalogue.sources.files import DAMAGED
from backend.errors import UnreadableCatalogue

LONGEST_LINE: Final = 1_000_000  # bytes; the rest is dropped, so the record does not fit the header
HEADER_LINES: Final = 50  # at most so many lines of comments, and of the header itself
COMPARED_ROWS: Final = 20  # from which the delimiter is found
DELIMITERS: Final = ",;\t|"
LONGEST_VALUE: Final = 500_000  # characters

csv.field_size_limit(LONGEST_VALUE)  # the module's own limit, 128 KB, loses whole products


class TableRecord(NamedTuple):
    """The values of one record, as many as there are columns."""

    line: int
    values: Sequence[Any]  # text; a file with types, such as Parquet, holds other values too
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Header:
    """The names of a table's columns."""

    columns: Sequence[str]
    delimiter: str


def open_csv(stream: BinaryIO, *, encoding: str | None = None) -> Lines:
    """Return the lines of a CSV file, whatever its encoding; a gzip is unpacked.

    Raises UnreadableCatalogue if the first bytes cannot be read, ConfigurationError for an
    unknown `encoding`.
    """
    packing = Packing()
    try:
        lines, found = open_lines(stream, packing, encoding=encoding)
    except DAMAGED as error:
        raise UnreadableCatalogue(f"the file is damaged: {error}") from None
    return Lines(lines, found, packing)


def read_header(lines: Lines, *, delimiter: str | None = None) -> Header:
    """Read the header, and what lies above it: empty lines, comments, `sep=;`.

    The delimiter is the one that the file names, or the one that divides the header and the rows
    below it. Raises UnreadableCatalogue if there is no header of a CSV file.
    """
    text = _first_line(lines)
    if named := re.fullmatch(r"\s*\"?sep=(.)\"?\s*", text, re.IGNORECASE):
        delimiter = delimiter or named[1]
        text = _first_line(lines)
    rows = [line.text for line in lines.peek(HEADER_LINES)]
    delimiter = delimiter or _find_delimiter(text, rows)
    used = 0

    def following() -> Iterator[str]:
        nonlocal used
        yield text
        for used, row in enumerate(rows, 1):  # noqa: B007 - how many lines the header has
            yield row

    try:
        names = next(csv.reader(following(), delimiter=delimiter, strict=True))
    except csv.Error as error:
        raise UnreadableCatalogue(f"the header is not one of a CSV file: {error}") from None
    lines.skip(used)
    return Header([" ".join(name.split()) for name in names], delimiter)


def _first_line(lines: Lines) -> str:
    """Return the next line that is neither empty nor a comment."""
    for _ in range(HEADER_LINES):
        line = next(lines, None)
        lines.taken.clear()
        if line is None:
            raise UnreadableCatalogue("the file is empty")
        text = line.strip("\r\n")
        if not text.strip(' \t,;|"'):
            continue
        if not _is_comment(text):
            return text
        is_open = text.count('"') % 2 == 1
        while is_open and (rest := next(lines, None)) is not None:
            is_open = rest.count('"') % 2 == 0
            lines.taken.clear()
    raise UnreadableCatalogue(f"the first {HEADER_LINES} lines hold no header of a CSV file")


def _is_comment(text: str) -> bool:
    """Tell a comment from a header; one that begins with #, such as `#id,name`, names a sku."""
    if not text.lstrip('"').startswith("#"):
        return False
    cells = {cell.strip('"# ').lower() for cell in re.split(f"[{DELIMITERS}]", text)}
    return not cells & {"id", "sku"}


def _find_delimiter(header: str, rows: Sequence[str]) -> str:
    """Return the delimiter that the header holds most often, quotes and parentheses left out.

    One that leaves most rows with fewer values than the header is not considered, if there is
    another.
    """
    bare = re.sub(r'"(?:[^"]|"")*"|\([^()]*\)', "", header)
    counts = {delimiter: bare.count(delimiter) for delimiter in DELIMITERS}
    if not any(counts.values()):
        bare = re.sub(r'"(?:[^"]|"")*"', "", header)
        counts = {delimiter: bare.count(delimiter) for delimiter in DELIMITERS}
    fitting = [each for each in DELIMITERS if counts[each] and _fits(each, header, rows)]
    return max(fitting or DELIMITERS, key=counts.__getitem__)


def _fits(delimiter: str, header: str, rows: Sequence[str]) -> bool:
    """Tell whether at least half of the rows have no fewer values than the header."""
    try:
        head, *records = islice(csv.reader([header, *rows], delimiter=delimiter), COMPARED_ROWS)
    except csv.Error:
        return False
    filled = [record for record in records if any(record)]
    return sum(len(record) >= len(head) for record in filled) * 2 >= len(filled)


def read_records(
    lines: Lines, header: Header, *, key: int = 0, free_text: int | None = None
) -> Iterator[TableRecord | Reject]:
    """Read what follows the header; empty lines are skipped.

    `key` is the column that names a reject. `free_text` is the column whose values may contain
    delimiters without quotes: if a record has too many values, the surplus is joined there.
    """
    reader = csv.reader(lines, delimiter=header.delimiter, strict=True)
    while True:
        lines.taken.clear()
        try:
            values: Sequence[str] | None = next(reader)
        except StopIteration:
            return
        except csv.Error:
            values = None
        if lines.is_cut_off:
            lines.has_open_quote = values is None
            lines.is_closed = values is not None and lines.taken[-1].text.endswith('"')
        warnings: tuple[str, ...] = ()
        if values is None or (len(lines.taken) > 1 and len(values) != len(header.columns)):
            try:
                values, warnings = _first_line_alone(lines, header, values)
            except csv.Error as error:
                lines.give_back()
                yield Reject(lines.taken[0].number, None, str(error))
                continue
        is_header = list(values) == header.columns  # again, where files were joined
        if any(value.strip() for value in values) and not is_header:
            yield _fitted(lines, header, values, warnings, key=key, free_text=free_text)


def _first_line_alone(
    lines: Lines, header: Header, several: Sequence[str] | None
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
    lines: Lines,
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
    if surplus < 0 and not any(header.columns[surplus:]):
        values, surplus = [*values, *[""] * -surplus], 0  # only columns without a name are missing
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
    if lines.notes or len(lines.taken) > 1 or lines.taken[0].warnings:
        noted = (warning for taken in lines.taken for warning in taken.warnings)
        warnings = (*lines.notes, *noted, *warnings)
        lines.notes = ()
    return TableRecord(line, values, text_warnings(warnings) if warnings else ())


def text_warnings(texts: Iterable[str]) -> tuple[str, ...]:
    """Return warnings about encodings and quotes."""
    return tuple(RowWarning(WarningKind.TEXT, text) for text in texts)


class _Line(NamedTuple):
    number: int
    text: str
    warnings: tuple[str, ...]


@dataclass
class Lines:
    """The decoded lines of a file; all that were taken, except the first, can be given back."""

    stream: BinaryIO
    format: TextFormat
    packing: Packing
    number: int = 0  # of the last line read
    is_cut_off: bool = False  # the last line has no line end
    is_closed: bool = False  # but its record shows by itself that it is whole
    has_open_quote: bool = False  # or that it is not
    taken: list[_Line] = field(default_factory=list)
    again: deque[_Line] = field(default_factory=deque)
    notes: tuple[str, ...] = ()  # about the whole file; the first record takes them

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self.again.popleft() if self.again else self._read()
        if line is None:
            raise StopIteration
        self.taken.append(line)
        return line.text

    def give_back(self) -> None:
        """Let all lines of this record, except the first, be read again."""
        self.again.extendleft(reversed(self.taken[1:]))
        del self.taken[1:]

    def peek(self, count: int) -> list[_Line]:
        """Return the next lines, which stay to be read."""
        while len(self.again) < count and (line := self._read()):
            self.again.append(line)
        return list(islice(self.again, count))

    def skip(self, count: int) -> None:
        """Skip lines that were peeked at."""
        for _ in range(count):
            self.again.popleft()

    def cut_off(self, *, is_broken: bool, proven: bool = False) -> CutOff | None:
        """Return why the file may have ended early, None if it is whole; after the last line.

        `is_broken`: the last line gave no record. `proven`: the file has the length that it should
        have. Then a last line without its end counts as whole; so does one that ends in a quote.
        """
        if self.packing.ended_early:
            return CutOff(self.packing.ended_early, is_certain=True)
        proven = proven or self.packing.is_proven or self.is_closed
        is_broken = is_broken or self.has_open_quote
        if not self.is_cut_off or (proven and not is_broken):
            return None
        return CutOff(f"the last line, {self.number}, has no line end", is_certain=is_broken)

    def _read(self) -> _Line | None:
        raw = rest = _read_line(self.stream)
        if not raw:
            return None
        while len(rest) == LONGEST_LINE and not rest.endswith(b"\n"):
            rest = _read_line(self.stream)
        self.is_cut_off = not rest.endswith(b"\n")
        self.number += 1
        text, warnings = self._decode(raw)
        if self.number == 1 and self.format.note:
            self.notes = (self.format.note,)
        return _Line(self.number, text, warnings)

    def _decode(self, raw: bytes) -> tuple[str, tuple[str, ...]]:
        """Decode one line, because files may mix encodings; return warnings about corrections."""
        warnings: tuple[str, ...] = ()
        try:
            text = raw.decode()
        except UnicodeDecodeError:
            fallback = self.format.fallback or single_byte_encoding(raw)
            text = raw.decode(fallback, errors="replace")
            if not self.format.note:
                warnings = (f"not UTF-8; read as {TITLES[fallback]}",)
        if text.startswith("\ufeff"):  # where files were joined
            text = text.lstrip("\ufeff")
        if "\0" in text:
            return text.replace("\0", ""), (*warnings, "NUL characters were left out")
        return text, warnings


def _read_line(stream: BinaryIO) -> bytes:
    try:
        return stream.readline(LONGEST_LINE)
    except DAMAGED as error:
        raise UnreadableCatalogue(f"the file is damaged: {error}") from None
