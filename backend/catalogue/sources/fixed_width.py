"""Tables whose columns stand below each other, with blanks between them, as reports print them.

Where the columns lie is found from the first lines: blanks stand between two columns in all of
them, or a line of dashes below the header shows it. Words are on the left of their column and
numbers often on the right, so a longer value may reach into the blanks beside it.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from backend.catalogue.sources.no_products import is_remark

DELIMITER: Final = "\t"  # stands in none of the lines
CROSSED: Final = "a value crosses the columns"
_DASHES: Final = re.compile(r"-{2,}|={2,}")
_FEWER: Final = (10, 3)
_WORDS: Final = re.compile(r"\S+")


@dataclass(frozen=True)
class Column:
    """Where the cells of a column begin and end in the first lines; `end` is behind them."""

    start: int
    end: int
    is_left: bool  # all of them begin at `start`


class FixedRows:
    """Reads lines as `csv.reader` does. Raises csv.Error for a value that crosses two columns."""

    def __init__(self, lines: Iterable[str], columns: Sequence[Column]) -> None:
        self._lines = iter(lines)
        self._columns = columns
        self.line_num = 0

    def __iter__(self) -> Iterator[list[str]]:
        return self

    def __next__(self) -> list[str]:
        line = next(self._lines).rstrip("\r\n")
        self.line_num += 1
        return _cells(line, self._columns)


def find_columns(
    header: str, rows: Sequence[str], is_header: Callable[[Sequence[str]], bool]
) -> list[Column] | None:
    """Return the columns of a header and the rows below it; None if they are no such table."""
    rows = [row.rstrip() for row in rows if row.strip() and not is_remark(row)]
    if not rows or "\t" in header or not header.strip():
        return None
    for count in (len(rows), *_FEWER):  # one value that is too long hides where columns lie
        if count <= len(rows) and (found := _columns(header, rows[:count], is_header)):
            return found
    return None


def _columns(
    header: str, rows: Sequence[str], is_header: Callable[[Sequence[str]], bool]
) -> list[Column] | None:
    dashes = list(_DASHES.finditer(rows[0])) if not rows[0].strip(" -=") else []
    spans = [it.span() for it in dashes] if len(dashes) > 1 else _spans([header, *rows], header)
    lines = [header, *(row for row in rows if row.strip(" -="))]
    columns = [Column(*span, _is_left(lines, span[0])) for span in spans]
    if len(columns) < 2:
        return None
    try:
        names = _cells(header, columns)
    except csv.Error:
        return None
    are_whole = all(name and "  " not in name for name in names)  # else two stand in one column
    return columns if are_whole and is_header(names) else None


def _spans(lines: Sequence[str], header: str) -> list[tuple[int, int]]:
    """Return where columns lie: blanks of all lines are between them, each has a name above it."""
    filled = {at for line in lines for word in _WORDS.finditer(line) for at in range(*word.span())}
    spans: list[tuple[int, int]] = []
    for at in sorted(filled):
        if spans and spans[-1][1] == at:
            spans[-1] = (spans[-1][0], at + 1)
        else:
            spans.append((at, at + 1))
    named: list[tuple[int, int]] = []
    for start, end in spans:
        is_second = not header[start:end].strip()  # the second word of all values of a column
        if named and named[-1][1] + 1 == start:  # or that of the name
            is_second |= not any(line[start:end].strip() for line in lines if line is not header)
        if named and is_second:
            named[-1] = (named[-1][0], end)
        else:
            named.append((start, end))
    return named


def _is_left(lines: Sequence[str], start: int) -> bool:
    """Tell whether a column's cells all begin at one place."""
    return all(len(line) <= start or (line[start] != " ") for line in lines)


def _cells(line: str, columns: Sequence[Column]) -> list[str]:
    cuts = [_cut(line, left, right) for left, right in pairwise(columns)]
    cells = [line[a:b].strip() for a, b in pairwise([0, *cuts, max(len(line), *cuts)])]
    for cell, column in zip(cells, columns, strict=True):
        if not column.is_left and "  " in cell:  # words of the column beside it
            raise csv.Error(CROSSED)
    return cells


def _cut(line: str, left: Column, right: Column) -> int:
    """Return where the second of two columns begins in a line."""
    if len(line) <= right.start:
        return right.start
    if right.is_left:
        if line[right.start - 1] != " ":
            raise csv.Error(CROSSED)
        return right.start
    cut = line.rfind(" ", left.start, right.start + 1) + 1
    if not cut or line[right.end : right.end + 1].strip():
        raise csv.Error(CROSSED)
    return cut
