"""The header of a CSV file: what stands above it, what divides it, and its names."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import islice
from typing import Final

from backend.catalogue.sources.csv_dialect import (
    DELIMITERS,
    UNIT,
    Header,
    further_delimiter,
    has_blanks_before_quotes,
    has_curly_quotes,
    long_delimiter,
    quote_of,
)
from backend.catalogue.sources.csv_lines import Line, Lines, straight, unwrapped
from backend.catalogue.sources.fixed_width import DELIMITER, FixedRows, find_columns
from backend.errors import UnreadableCatalogue

HEADER_LINES: Final = 50  # at most so many lines of comments, and of the header itself
COMPARED_ROWS: Final = 20  # from which the delimiter is found
_ONE_VALUE: Final = re.compile(r'\s*"(?:[^"]|"")*"\s*')


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
    if has_curly_quotes(text):
        lines.has_curly_quotes = True
        text = straight(text)
    if not delimiter and (
        found := long_delimiter(text, [line.text for line in lines.peek(HEADER_LINES)], is_header)
    ):
        lines.divide_by(found)
        delimiter = UNIT
        text = text.replace(found, UNIT)
    rows = [line.text for line in lines.peek(HEADER_LINES)]
    if above := _lines_above(text, rows, delimiter, is_header):
        text = rows[above - 1].strip("\r\n")
        lines.skip(above)
        rows = [line.text for line in lines.peek(HEADER_LINES)]
    is_undivided = not delimiter and not any(each in text for each in DELIMITERS)
    if is_undivided and (fixed := find_columns(text, rows, is_header)):
        names = next(iter(FixedRows([text], fixed)))
        return Header([" ".join(name.split()) for name in names], DELIMITER, fixed=fixed)
    delimiter = delimiter or further_delimiter(text, is_header) or _find_delimiter(text, rows)
    form = Header(
        [],
        delimiter,
        quote_of(text, rows, delimiter),
        has_blanks_before_quotes([text, *rows], delimiter),
    )
    return replace(form, columns=_read_names(lines, form, text, rows))


def _read_names(lines: Lines, form: Header, text: str, rows: Sequence[str]) -> list[str]:
    """Read the names of the columns from `text` and as many of the next lines as they take."""
    used = 0

    def following() -> Iterator[str]:
        nonlocal used
        yield text
        for used, row in enumerate(rows, 1):  # noqa: B007 - how many lines the header has
            yield row

    try:
        names = next(form.reader(following()))
    except csv.Error as error:
        raise UnreadableCatalogue(f"the header is not one of a CSV file: {error}") from None
    lines.skip(used)
    return [" ".join(name.split()) for name in names]


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
        if at and not any(each in line for each in DELIMITERS):
            return bool(find_columns(line, rows[at:], is_header))
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
