"""Parse the options of an embedder's spec, which are strings."""

from __future__ import annotations

from typing import TypeVar

from backend.errors import UnknownEmbedder

Text = TypeVar("Text", bound=str)


def parse_choice(option: str, value: str, allowed: tuple[Text, ...]) -> Text:
    """Return `value` if it is allowed; else raise UnknownEmbedder with a list of what is."""
    for one in allowed:
        if value == one:
            return one
    raise UnknownEmbedder(f"{option}={value}: allowed are {', '.join(allowed)}")


def parse_share(option: str, value: str) -> float:
    """Return a number from 0 to below 1. Raises UnknownEmbedder."""
    try:
        number = float(value)
    except ValueError:
        number = -1
    if not 0 <= number < 1:
        raise UnknownEmbedder(f"{option}={value}: a number from 0 to below 1 is wanted")
    return number


def parse_proportion(option: str, value: str) -> float:
    """Return a number from 0 to 1. Raises UnknownEmbedder."""
    return 1.0 if value == "1" else parse_share(option, value)


def parse_whole_number(option: str, value: str) -> int:
    """Return a whole number from 0 on. Raises UnknownEmbedder."""
    if not value.isdecimal():
        raise UnknownEmbedder(f"{option}={value}: a whole number from 0 is wanted")
    return int(value)
