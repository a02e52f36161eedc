"""The bytes of a CSV file -> records, even if it was badly exported.

Only single lines are rejected, never the rest of the file. A quote in the wrong place makes a CSV
reader take thousands of lines for one field; here it costs at most its own line.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from typing import Any, BinaryIO, Final, NamedTuple

from backend.catalogue.sources.csv_lines import Line, Lines, unwrapped
from backend.catalogue.sources.encodings import Packing, open_lines
from backend.catalogue.sources.feed import Reject, RowWarning, WarningKind
from backend.catalogue.sources.files import DAMAGED
from backend.errors import UnreadableCatalogue

HEADER_LINES: Final = 50  # at most so many lines of comments, and of the header itself
COMPARED_ROWS: Final = 20  # from which the delimiter is found
DELIMITERS: Final = ",;\t|"
_ONE_VALUE: Final = re.compile(r'\s*"(?:[^"]|"")*"\s*')
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


def read_header(
    lines: Lines,
    *,
    delimiter: str | None = None,
    is_header: Callable[[Sequence[str]], bool] = bool,
) -> Header:
    """Read the header, and what lies above it: empty lines, comments, `sep=;`, a title.

    The delimiter is the one that the file names, or the one that divides the header and the rows
    below it. Where the first line is none by `is_header`, the header is a line below that is one.
    Raises UnreadableCatalogue if there is no header of a CSV file.
    """
    text = _first_line(lines)
    if named := re.fullmatch(r"\s*\"?sep=(.)\"?\s*", text, re.IGNORECASE):
        delimiter = delimiter or named[1]
        text = _first_line(lines)
    lines.is_wrapped = _is_wrapped(text)
    text = unwrapped(text) if lines.is_wrapped else text
    rows = [line.text for line in lines.peek(HEADER_LINES)]
    if above := _lines_above(text, rows, delimiter, is_header):
        text = rows[above - 1].strip("\r\n")
        lines.skip(above)
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


def _lines_above(
    text: str,
    rows: Sequence[str],
    delimiter: str | None,
    is_header: Callable[[Sequence[str]], bool],
) -> int:
    """Return how many lines stand above the header: a title, or labels above the names.

    Marketplaces write the labels of the columns above their names, so of two headers in a row the
    second counts.
    """

    def could_be(at: int) -> bool:
        line = ([text, *rows])[at].strip("\r\n")
        with suppress(csv.Error):
            used = delimiter or _find_delimiter(line, rows[at:])
            return is_header(next(csv.reader([line], delimiter=used), []))
        return False

    if could_be(0) or text.count('"') % 2:  # a header of several lines
        return 0
    found = next(filter(could_be, range(1, len(rows) + 1)), 0)
    return found + 1 if found and found < len(rows) and could_be(found + 1) else found


def _is_wrapped(text: str) -> bool:
    """Tell whether a whole line is one quoted value that holds several, as some tools write it."""
    return bool(_ONE_VALUE.fullmatch(text)) and any(each in text for each in DELIMITERS)


def _first_line(lines: Lines) -> str:
    """Return the next line that is neither empty nor a comment."""
    for _ in range(HEADER_LINES):
        line = next(lines, None)
        lines.taken.clear()
        if line is None:
            raise UnreadableCatalogue("the file is empty")
        text = _before_return(lines, line)
        if not text.strip(' \t,;|"'):
            continue
        if not _is_comment(text):
            return text
        is_open = text.count('"') % 2 == 1
        while is_open and (rest := next(lines, None)) is not None:
            is_open = rest.count('"') % 2 == 0
            lines.taken.clear()
    raise UnreadableCatalogue(f"the first {HEADER_LINES} lines hold no header of a CSV file")


def _before_return(lines: Lines, line: str) -> str:
    """Return a line up to a lone CR outside quotes; what follows the CR is the next line."""
    text = line.strip("\r\n")
    first, lone, rest = text.partition("\r")
    if not lone or first.count('"') % 2:
        return text
    lines.again.appendleft(Line(lines.number, f"{rest}\n", ()))
    return first


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
        yield from _plain_records(lines, header, key=key, free_text=free_text)
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
        if values is None and (rows := _rows_of_one_line(lines.taken[0], header)):
            lines.give_back()
            lines.again.extendleft(reversed(rows))
            continue
        warnings: tuple[str, ...] = ()
        if values is None or (len(lines.taken) > 1 and len(values) != len(header.columns)):
            try:
                values, warnings = _first_line_alone(lines, header, values)
            except csv.Error as error:
                lines.give_back()
                yield Reject(lines.taken[0].number, None, str(error))
                continue
        if _is_record(values, header):
            yield _fitted(lines, header, values, warnings, key=key, free_text=free_text)


def _plain_records(
    lines: Lines, header: Header, *, key: int, free_text: int | None
) -> Iterator[TableRecord | Reject]:
    """Read the records that follow as long as each is one plain line."""
    columns, key_name = len(header.columns), header.columns[key]
    while texts := lines.take_plain():
        reader = csv.reader(texts, delimiter=header.delimiter, strict=True)
        first, done = lines.number - len(texts) + 1, 0
        with suppress(csv.Error):
            for values in reader:
                if reader.line_num != done + 1:  # a quote is open at the end of the line
                    break
                line = first + done
                done += 1
                if len(values) == columns and values[key].strip() and values[key] != key_name:
                    yield TableRecord(line, values)
                elif _is_record(values, header):
                    lines.taken[:] = [Line(line, texts[done - 1], ())]
                    yield _fitted(lines, header, values, (), key=key, free_text=free_text)
        lines.read_again(texts[done:])


def _is_record(values: Sequence[str], header: Header) -> bool:
    """Tell a record from an empty line, and from the header that comes again in joined files."""
    return any(value.strip() for value in values) and list(values) != header.columns


def _rows_of_one_line(line: Line, header: Header) -> list[Line]:
    """Return the rows that a lone CR divides; [] unless each has a value for every column."""
    parts = line.text.strip("\r\n").split("\r")
    try:
        rows = list(csv.reader(parts, delimiter=header.delimiter, strict=True))
    except csv.Error:
        return []
    fits = len(rows) == len(parts) > 1 and all(len(row) == len(header.columns) for row in rows)
    return [line._replace(text=f"{part}\n") for part in parts] if fits else []


def _first_line_alone(
    lines: Lines, header: Header, several: Sequence[str] | None
) -> tuple[Sequence[str], tuple[str, ...]]:
    """Read the first line without regard to quotes, and give the other lines back.

    If that does not fit the header either, return `several`: what all lines gave together.
    """
    text = lines.taken[0].text.replace("\r", " ")
    if '\\"' in text and (escaped := _with_backslashes(text, header)):
        lines.give_back()
        return escaped, ()
    values = next(csv.reader([text], delimiter=header.delimiter, quoting=csv.QUOTE_NONE))
    if several is not None and len(values) != len(header.columns):
        return several, ()
    lines.give_back()
    return values, ("quotes that do not match were taken literally",)


def _with_backslashes(text: str, header: Header) -> Sequence[str] | None:
    """Read a line in which a backslash stands before a quote; None if it does not fit then."""
    try:
        values = next(csv.reader([text], delimiter=header.delimiter, escapechar="\\", strict=True))
    except csv.Error:
        return None
    return values if len(values) == len(header.columns) else None


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
