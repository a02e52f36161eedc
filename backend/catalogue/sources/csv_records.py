"""The bytes of a CSV file -> records, even if it was badly exported.

Only single lines are rejected, never the rest of the file. A quote in the wrong place makes a CSV
reader take thousands of lines for one field; here it costs at most its own line.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Any, BinaryIO, Final, NamedTuple

from backend.catalogue.sources.backslashes import is_open, unescaped
from backend.catalogue.sources.csv_dialect import DELIMITERS, Header
from backend.catalogue.sources.csv_lines import Line, Lines
from backend.catalogue.sources.decimal_commas import with_whole_amounts
from backend.catalogue.sources.encodings import open_lines
from backend.catalogue.sources.feed import NoProduct, Reject, RowWarning, WarningKind
from backend.catalogue.sources.files import DAMAGED, damage
from backend.catalogue.sources.no_products import RULE_BEGINS, is_remark, is_rule
from backend.catalogue.sources.packing import Packing
from backend.errors import UnreadableCatalogue

_DIGIT: Final = re.compile(r"\d")
LONGEST_VALUE: Final = 500_000  # characters

csv.field_size_limit(LONGEST_VALUE)  # the module's own limit, 128 KB, loses whole products


class TableRecord(NamedTuple):
    """The values of one record, as many as there are columns."""

    line: int
    values: Sequence[Any]  # text; a file with types, such as Parquet, holds other values too
    warnings: tuple[str, ...] = ()


class SpecialColumns(NamedTuple):
    """The columns that need care while records are read."""

    key: int = 0  # names a reject
    free_text: int | None = None
    """Its values may hold delimiters without quotes: surplus values of a record are joined here."""
    amounts: Sequence[int] = ()  # of money: what a comma has divided there is put together first
    are_decimal: bool = False  # if so, also what a decimal comma has divided


def open_csv(stream: BinaryIO, *, encoding: str | None = None) -> Lines:
    """Return the lines of a CSV file, whatever its encoding; a gzip is unpacked.

    Raises UnreadableCatalogue if the first bytes cannot be read, ConfigurationError for an
    unknown `encoding`.
    """
    packing = Packing()
    try:
        lines, found = open_lines(stream, packing, encoding=encoding)
    except DAMAGED as error:
        raise UnreadableCatalogue(damage(error)) from None
    return Lines(lines, found, packing)


def read_records(
    lines: Lines, header: Header, special: SpecialColumns
) -> Iterator[TableRecord | Reject]:
    """Read what follows the header; empty lines and those that draw the table are skipped."""
    reader = header.reader(lines)
    while True:
        yield from _plain_records(lines, header, special)
        lines.taken.clear()
        try:
            values: Sequence[str] | None = next(reader)
        except StopIteration:
            return
        except csv.Error:
            values = None
        if lines.is_cut_off:
            lines.has_open_quote = values is None
            lines.is_closed = values is not None and lines.taken[-1].text.endswith(header.quote)
        if values is None and (rows := _rows_of_one_line(lines.taken[0], header)):
            lines.give_back()
            lines.again.extendleft(reversed(rows))
        elif record := _record_of(lines, header, values, special):
            yield record


def _record_of(
    lines: Lines, header: Header, values: Sequence[str] | None, special: SpecialColumns
) -> TableRecord | Reject | None:
    """Return the record in the lines just taken, or a reject; None for lines that hold neither.

    `values` is what the reader made of them, None if it could make nothing.
    """
    warnings: tuple[str, ...] = ()
    if values is None or (len(lines.taken) > 1 and len(values) != len(header.columns)):
        try:
            values, warnings = _first_line_alone(lines, header, values)
        except csv.Error as error:
            lines.give_back()
            return Reject(lines.taken[0].number, None, str(error))
    return _fitted(lines, header, values, warnings, special) if _is_record(values, header) else None


def _plain_records(
    lines: Lines, header: Header, special: SpecialColumns
) -> Iterator[TableRecord | Reject]:
    """Read the records that follow as long as each is one plain line."""
    key = special.key
    columns, key_name = len(header.columns), header.columns[key]
    while texts := lines.take_plain():
        reader = header.reader(texts)
        first, done = lines.number - len(texts) + 1, 0
        with suppress(csv.Error):
            for values in reader:
                if reader.line_num != done + 1:  # a quote is open at the end of the line
                    break
                if len(values) != columns and is_open(texts[done].rstrip("\r")):
                    break  # a backslash at its end: the next line belongs to it
                line = first + done
                done += 1
                is_plain = len(values) == columns and (cell := values[key].strip())
                if is_plain and cell[0] not in RULE_BEGINS and values[key] != key_name:
                    yield TableRecord(line, values)
                elif _is_record(values, header):
                    lines.taken[:] = [Line(line, texts[done - 1], ())]
                    yield _fitted(lines, header, values, (), special)
        lines.read_again(texts[done:])


def _is_record(values: Sequence[str], header: Header) -> bool:
    """Tell a record from an empty line, from one that draws the table, and from the header.

    Files that were joined hold the header several times.
    """
    is_filled = any(value.strip() for value in values) and list(values) != header.columns
    return is_filled and not is_rule(values)


def _rows_of_one_line(line: Line, header: Header) -> list[Line]:
    """Return the rows that a lone CR divides; [] unless each has a value for every column."""
    parts = line.text.strip("\r\n").split("\r")
    try:
        rows = list(header.reader(parts))
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
    bare = [_without_quotes_around(value) for value in values]
    return bare, ("quotes that do not match were taken literally",)


def _without_quotes_around(value: str) -> str:
    """Return a value without the quotes around it; those within stay: `"Tee 5" long"`."""
    is_quoted = len(value) > 2 and value[0] == value[-1] == '"'
    return value[1:-1].replace('""', '"') if is_quoted else value


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
    special: SpecialColumns,
) -> TableRecord | Reject:
    """Fit values into the columns; return a reject with the reason if they do not fit."""
    line, key, free_text = lines.taken[0].number, special.key, special.free_text
    columns = len(header.columns)
    if len(values) != columns:
        values, said = _divided(values, lines, header, special)
        warnings += said
    surplus = len(values) - columns
    if surplus > 0 and not any(values[columns:]):
        values, surplus = values[:columns], 0  # delimiters at the end of the line
    if surplus < 0 and not any(header.columns[surplus:]):
        values, surplus = [*values, *[""] * -surplus], 0  # only columns without a name are missing
    if surplus > 0 and free_text is not None and not _moves_amounts(values, surplus, special):
        end = free_text + surplus + 1
        joined = header.delimiter.join(values[free_text:end])
        values = [*values[:free_text], joined, *values[end:]]
        surplus = 0
        warnings += (f"{header.columns[free_text]} holds a {header.delimiter!r} without quotes",)
    if surplus:
        return _misfit(line, header, values, key)
    if lines.notes or len(lines.taken) > 1 or lines.taken[0].warnings:
        noted = (warning for taken in lines.taken for warning in taken.warnings)
        warnings = (*lines.notes, *noted, *warnings)
        lines.notes = ()
    return TableRecord(line, values, text_warnings(warnings) if warnings else ())


def _misfit(line: int, header: Header, values: Sequence[str], key: int) -> Reject:
    """Return the reject of a record that has more or fewer values than there are columns."""
    if is_remark(text := header.delimiter.join(values)):
        return NoProduct(line, None, f"{text.strip()[:80]!r} is a remark, not a product")
    sku = values[key].strip() if key < len(values) else ""
    if header.fixed:
        return Reject(line, sku or None, "its values do not stand in the header's columns")
    columns, plural = len(header.columns), "" if len(values) == 1 else "s"
    reason = f"{len(values)} value{plural}, where the header has {columns} columns"
    cut_off = ": the line is cut off" if len(values) < columns else ""
    return Reject(line, sku or None, reason + cut_off)


def _divided(
    values: Sequence[str], lines: Lines, header: Header, special: SpecialColumns
) -> tuple[Sequence[str], tuple[str, ...]]:
    """Return the values of a record that does not fit the header, divided as they may be meant."""
    if escaped := unescaped(lines, header.delimiter, len(header.columns)):
        return escaped, ()
    if len(values) == 1 and (found := _divided_otherwise(lines, header)):
        others, delimiter = found
        text = f"the line is divided by {delimiter!r}, the header by {header.delimiter!r}"
        return others, (text,)
    if len(values) > len(header.columns):
        return _put_together(values, header, special)
    return values, ()


def _divided_otherwise(lines: Lines, header: Header) -> tuple[Sequence[str], str] | None:
    """Return the values of a line that another delimiter divides into as many as the header has."""
    text = lines.taken[0].text.strip("\r\n")
    for delimiter in DELIMITERS if len(lines.taken) == 1 and not header.fixed else "":
        with suppress(csv.Error):
            values = next(csv.reader([text], delimiter=delimiter, strict=True), [])
            if len(values) == len(header.columns):
                return values, delimiter
    return None


def _moves_amounts(values: Sequence[str], surplus: int, special: SpecialColumns) -> bool:
    """Tell whether joined values of the free text would move a word to where an amount stands."""
    if special.free_text is None:
        return False
    behind = (at for at in special.amounts if at > special.free_text and at + surplus < len(values))
    return any(_DIGIT.search(values[at]) and not _is_amount(values[at + surplus]) for at in behind)


def _is_amount(text: str) -> bool:
    return not text.strip() or bool(_DIGIT.search(text))


def _put_together(
    values: Sequence[str], header: Header, special: SpecialColumns
) -> tuple[Sequence[str], tuple[str, ...]]:
    """Join what a delimiter without quotes, or an escaped bar of Markdown, has divided."""
    columns, are_decimal = len(header.columns), special.are_decimal
    if whole := with_whole_amounts(values, columns, special.amounts, are_decimal=are_decimal):
        return whole, ("an amount holds a ',' without quotes",)
    if header.delimiter == "|" and any(value.endswith("\\") for value in values):
        joined = re.split(r"(?<!\\)\|", "|".join(values))
        return [value.replace("\\|", "|") for value in joined], ()
    return values, ()


def text_warnings(texts: Iterable[str]) -> tuple[str, ...]:
    """Return warnings about encodings and quotes."""
    return tuple(RowWarning(WarningKind.TEXT, text) for text in texts)
