"""How the values of a CSV file are quoted, and what divides them, found from its first lines."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, Protocol

from backend.catalogue.sources.fixed_width import Column, FixedRows

DELIMITERS: Final = ",;\t|"
UNIT: Final = "\x1f"
"""The separator of units, which stands in no text."""
FURTHER_DELIMITERS: Final = f"~^¦\x01{UNIT}；:#!@$%&*§¬"  # noqa: RUF001 - the semicolon of Chinese
"""Taken only where none of the others divides the header, and the header then names a sku."""
QUOTE: Final = '"'
SINGLE_QUOTE: Final = "'"
_LONG: Final = re.compile(r"[|;,~^#@$%&*!:\t]{2,4}")
CURLY_QUOTES: Final = str.maketrans("“”„‟", '""""')


@dataclass(frozen=True)
class Header:
    """The names of a table's columns, and how its values are divided and quoted."""

    columns: Sequence[str]
    delimiter: str
    quote: str = QUOTE
    skips_blanks: bool = False  # between a delimiter and a quote
    fixed: Sequence[Column] = ()  # where the columns of a table without delimiters lie

    def reader(self, lines: Iterable[str]) -> Rows:
        """Return a strict reader of lines."""
        if self.fixed:
            return FixedRows(lines, self.fixed)
        return csv.reader(
            lines,
            delimiter=self.delimiter,
            quotechar=self.quote,
            skipinitialspace=self.skips_blanks,
            strict=True,
        )


class Rows(Protocol):
    """What `csv.reader` returns."""

    line_num: int

    def __iter__(self) -> Iterator[list[str]]: ...
    def __next__(self) -> list[str]: ...


def quote_of(header: str, rows: Sequence[str], delimiter: str) -> str:
    """Return the quote of a file: a single one if the header, or every row, is quoted with it."""
    for lines in ([header], [row for row in rows if row.strip()]):
        if lines and all(_is_quoted(line.strip(), delimiter) for line in lines):
            return SINGLE_QUOTE
        if any(QUOTE in line for line in lines):
            break
    return QUOTE


def _is_quoted(line: str, delimiter: str) -> bool:
    between = f"{SINGLE_QUOTE}{delimiter}{SINGLE_QUOTE}"
    return line[:1] == SINGLE_QUOTE == line[-1:] and between in line


def has_blanks_before_quotes(lines: Iterable[str], delimiter: str) -> bool:
    """Tell whether blanks stand between a delimiter and a quote: `A1, "Shirt, blue"`."""
    if delimiter == "\t":
        return False
    before = re.compile(rf'{re.escape(delimiter)} +"(?! *{re.escape(delimiter)})')
    return any(before.search(line) for line in lines)


def has_curly_quotes(header: str) -> bool:
    """Tell whether a program for texts has made curly quotes of those around the names."""
    return header.lstrip()[:1] in {"“", "„"} and QUOTE not in header


def long_delimiter(
    header: str, rows: Iterable[str], is_header: Callable[[Sequence[str]], bool]
) -> str | None:
    """Return what divides a header if that are several different characters, such as `~|~`.

    The first of `rows` that is not empty holds it, too.
    """
    first = next(filter(str.strip, rows), None)
    for found in dict.fromkeys(it[0] for it in _LONG.finditer(header)):
        if _is_mark_beside_delimiter(found) or (first is not None and found not in first):
            continue
        names = header.split(found)
        are_plain = all(name.strip().strip(QUOTE)[:1].isalnum() for name in names)
        is_alone = not set(found) & set("".join(names))  # unlike the `,*` of `id,*name,price`
        if (
            len(set(found)) > 1
            and is_alone
            and are_plain
            and is_header([it.strip(f" {QUOTE}") for it in names])
        ):
            return found
    return None


def _is_mark_beside_delimiter(text: str) -> bool:
    """Tell whether a mark of a name touches a usual delimiter: `*,` of `sku*,name*,price`."""
    usual = [sign in DELIMITERS for sign in text]
    return sum(usual) == 1 and (usual[0] or usual[-1])


def further_delimiter(header: str, is_header: Callable[[Sequence[str]], bool]) -> str | None:
    """Return what divides a header in which none of the usual delimiters stands."""
    if any(each in header for each in DELIMITERS):
        return None
    for delimiter in filter(header.__contains__, FURTHER_DELIMITERS):
        with suppress(csv.Error):
            names = next(csv.reader([header], delimiter=delimiter), [])
            if len(names) > 1 and is_header(names):
                return delimiter
    return None
