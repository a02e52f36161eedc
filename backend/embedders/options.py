"""Read the options of an embedder's spec, which arrive as strings."""

from __future__ import annotations

from typing import TypeVar

from backend.errors import UnknownEmbedder

Text = TypeVar("Text", bound=str)


def choice(option: str, value: str, allowed: tuple[Text, ...]) -> Text:
    """Return `value` if it is allowed; raise UnknownEmbedder, naming what is."""
    for one in allowed:
        if value == one:
            return one
    raise UnknownEmbedder(f"{option}={value}: allowed are {', '.join(allowed)}")


def share(option: str, value: str) -> float:
    """Return a number from 0 to below 1; raise UnknownEmbedder."""
    try:
        number = float(value)
    except ValueError:
        number = -1
    if not 0 <= number < 1:
        raise UnknownEmbedder(f"{option}={value}: a number from 0 to below 1 is wanted")
    return number


def proportion(option: str, value: str) -> float:
    """Return a number from 0 to 1; raise UnknownEmbedder."""
    return 1.0 if value == "1" else share(option, value)


def whole_number(option: str, value: str) -> int:
    """Return a whole number from 0; raise UnknownEmbedder."""
    if not value.isdecimal():
        raise UnknownEmbedder(f"{option}={value}: a whole number from 0 is wanted")
    return int(value)
