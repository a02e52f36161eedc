"""Records in which a backslash stands before a delimiter or a line end, as MySQL writes them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from backend.catalogue.sources.csv_dialect import QUOTE
from backend.catalogue.sources.csv_lines import Lines

MOST_LINES: Final = 100  # of one record
_ENDS_OPEN: Final = re.compile(r"(?<!\\)(?:\\\\)*\\\Z")
_ESCAPE: Final = re.compile(r"\\(.)", re.DOTALL)
_MEANT: Final = {"n": "\n", "t": "\t", "r": "\r", "0": ""}
_NOTHING: Final = "\\N"


def is_open(text: str) -> bool:
    """Tell whether the end of a line is part of a value: an odd number of backslashes."""
    return text.endswith("\\") and bool(_ENDS_OPEN.search(text))


def unescaped(lines: Lines, delimiter: str, columns: int) -> Sequence[str] | None:
    """Read the record that begins with the line just taken, with backslashes as escapes.

    None if there is none before a delimiter or a line end, or if that does not give `columns`
    values; then the further lines are given back.
    """
    text = lines.taken[0].text.rstrip("\r\n")
    if QUOTE in text or not (f"\\{delimiter}" in text or is_open(text)):
        return None
    while is_open(text) and len(lines.taken) < MOST_LINES and (more := next(lines, None)):
        text = f"{text[:-1]}\n{more.rstrip(chr(10)).rstrip(chr(13))}"
    values = [_value(it) for it in _pattern(delimiter).findall(text + delimiter)]
    if len(values) == columns:
        return values
    lines.give_back()
    return None


@lru_cache(maxsize=8)
def _pattern(delimiter: str) -> re.Pattern[str]:
    bare = re.escape(delimiter)
    return re.compile(rf"((?:\\.|[^\\{bare}])*){bare}", re.DOTALL)


def _value(text: str) -> str:
    if text == _NOTHING or "\\" not in text:
        return text
    return _ESCAPE.sub(lambda found: _MEANT.get(found[1], found[1]), text)
