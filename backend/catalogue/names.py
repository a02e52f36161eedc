"""Products by parts of their skus, names and brands; capital letters and accents do not count.

A database compares letters as its locale says, and SQLite knows the capitals of ASCII only. So
each letter of a word becomes the set of the letters that are equal to it, in a pattern that every
database reads alike: GLOB of SQLite, a regular expression of PostgreSQL.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any, Final

from sqlalchemy import Boolean, ColumnElement, LargeBinary, and_, case, cast, false, func, or_
from sqlalchemy.orm import Session

from backend.database.dialect import is_postgresql
from backend.database.models import Product

MOST_WORDS: Final = 8
LONGEST: Final = 100
"""Characters of a text that is searched for."""

_LETTERS: Final = range(0x2000)
"""The alphabets that have capitals or accents."""


def has_words(session: Session, text: str) -> ColumnElement[bool]:
    """Return the condition that a sku, name or brand holds each word of a text, anywhere.

    Words after the first MOST_WORDS, and characters after the first LONGEST, do not count.
    """
    holds = _holds_in_postgresql if is_postgresql(session) else _holds_in_sqlite
    words = words_of(text[:LONGEST])[:MOST_WORDS]
    columns = (Product.sku, Product.display_name, Product.brand)
    return and_(True, *(or_(*(holds(column, word) for column in columns)) for word in words))


def _holds_in_postgresql(column: Any, word: str) -> ColumnElement[bool]:
    holds: ColumnElement[bool] = column.op("~", return_type=Boolean())(_as_regex(word))
    return holds


def _holds_in_sqlite(column: Any, word: str) -> ColumnElement[bool]:
    """Test most texts by LIKE, which finds the capitals of ASCII in a fifth of GLOB's time."""
    bare = "".join(map(folded, word))
    is_ascii = func.length(column) == func.length(cast(column, LargeBinary()))
    in_ascii = column.contains(bare, autoescape=True) if bare.isascii() else false()
    return case(
        (is_ascii, in_ascii), else_=column.op("GLOB", return_type=Boolean())(_as_glob(word))
    )


def words_of(text: str) -> list[str]:
    """Return the words of a text, in Unicode's composed form."""
    return unicodedata.normalize("NFC", text).split()


def folded(letter: str) -> str:
    """Return the small letter without accents that a letter counts as, or the letter itself."""
    bare = [
        it
        for it in unicodedata.normalize("NFD", letter.casefold())
        if not unicodedata.combining(it)
    ]
    return bare[0] if len(bare) == 1 else letter


def _as_glob(word: str) -> str:
    return f"*{''.join(_in_glob(letter) for letter in word)}*"


def _in_glob(letter: str) -> str:
    ranges = _equal_to(letter)
    return f"[{ranges}]" if ranges else f"[{letter}]" if letter in "*?[" else letter


def _as_regex(word: str) -> str:
    return "".join(_in_regex(letter) for letter in word)


def _in_regex(letter: str) -> str:
    ranges = _equal_to(letter)
    if ranges:
        return f"[{ranges}]"
    return f"\\{letter}" if letter.isascii() and not letter.isalnum() else letter


def _equal_to(letter: str) -> str:
    """Return all letters that count as a letter, as ranges such as `eEÈ-Ë`; empty: itself alone."""
    return _classes().get(folded(letter), "")


@cache
def _classes() -> dict[str, str]:
    """Return by each letter what counts as it; only letters that others count as."""
    found: dict[str, list[str]] = {}
    for letter in map(chr, _LETTERS):
        if letter.isalpha():
            found.setdefault(folded(letter), []).append(letter)
    return {it: "".join(_ranges(it, each)) for it, each in found.items() if len(each) > 1}


def _ranges(first: str, letters: Sequence[str]) -> Iterator[str]:
    """Yield the letter that most texts have, its capital, and runs of the others."""
    usual = [it for it in (first, first.upper()) if it in letters]
    yield from usual
    run: list[str] = []
    for letter in [*(it for it in letters if it not in usual), ""]:
        if run and (not letter or ord(letter) != ord(run[-1]) + 1):
            yield run[0] if len(run) == 1 else f"{run[0]}-{run[-1]}"
            run = []
        run.append(letter)
