"""Names that are written much like one that is not known: what a client may have meant."""

from __future__ import annotations

from collections.abc import Collection
from difflib import get_close_matches
from typing import Final

ALIKE: Final = 0.75
"""Least ratio of `difflib`: `color` and `colour` have .91, `page` and `usage` .67."""

SHORTEST: Final = 4
LONGEST: Final = 100
"""Characters of a name that is compared."""

MOST: Final = 3


def nearest(name: str, known: Collection[str]) -> list[str]:
    """Return the known names that end in this one, or that are written much like it.

    `category` is the last word of two fields, and `base_color` is near `base_colour`.
    """
    if len(name) > LONGEST:
        return []
    by_lower = {each.lower(): each for each in known}
    if ending := [it for low, it in by_lower.items() if low.endswith(f"_{name.lower()}")]:
        return ending[:MOST]
    if close := get_close_matches(name.lower(), by_lower, n=1, cutoff=ALIKE):
        return [by_lower[close[0]]]
    ends = {each: each.rpartition("_")[2] for each in by_lower.values() if "_" in each}
    if len(name) < SHORTEST:
        return []
    close = get_close_matches(name.lower(), set(ends.values()), n=1, cutoff=ALIKE)
    return [each for each, end in ends.items() if end in close][:MOST]


def hint(name: str, known: Collection[str]) -> str:
    """Return `; the nearest is …` to append to a message, empty if no name is near."""
    found = nearest(name, known)
    return f"; the nearest is {' or '.join(found)}" if found else ""
