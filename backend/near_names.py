"""Names and paths that are written much like one that is not known: what a client meant."""

from __future__ import annotations

from collections.abc import Collection
from difflib import SequenceMatcher, get_close_matches
from typing import Final

ALIKE: Final = 0.75
"""Least ratio of `difflib`: `color` and `colour` have .91, `page` and `usage` .67."""

SHORTEST: Final = 4
"""Characters of a name that is compared with the last words of names."""

LONGEST: Final = 100
"""Characters of a name that is compared at all."""

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
    if len(name) < SHORTEST:
        return []
    ends = {each: each.rpartition("_")[2] for each in by_lower.values() if "_" in each}
    close = get_close_matches(name.lower(), set(ends.values()), n=1, cutoff=ALIKE)
    return [each for each, end in ends.items() if end in close][:MOST]


def hint(name: str, known: Collection[str]) -> str:
    """Return `; the nearest is …` to append to a message, empty if no name is near."""
    found = nearest(name, known)
    return f"; the nearest is {' or '.join(found)}" if found else ""


def nearest_path(path: str, known: Collection[str]) -> str | None:
    """Return the known path that is written much like this one; None if none is.

    Known paths have places such as `{sku}`, which stand for any text.
    """
    if len(path) > LONGEST:
        return None
    parts = path.split("/")
    same = [each for each in sorted(known) if each.count("/") == len(parts) - 1]
    likeness = {each: min(map(_likeness, parts, each.split("/"))) for each in same}
    best = max(same, key=likeness.__getitem__, default=None)
    return best if best is not None and likeness[best] >= ALIKE else None


def _likeness(given: str, known: str) -> float:
    """Return from 0 to 1 how much one part of a path is like that of a known path."""
    if known.startswith(("{", f"{given}:")):
        return 1.0 if given else 0.0
    return SequenceMatcher(None, given.lower(), known).ratio()
