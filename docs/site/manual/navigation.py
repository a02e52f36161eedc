"""The list of all pages beside the text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, TypeAlias

Entry: TypeAlias = str | dict[str, Any]

ADDED_TO: Final[Mapping[str, str]] = {"reference/": "Reference", "project/": "Project"}
"""The section of the pages that are added, by the folder in which they stand."""

OTHERS: Final = "More"


def complete(nav: Sequence[Entry], pages: Sequence[str], titles: Mapping[str, str]) -> list[Entry]:
    """Return a list that names every page: added ones in their section, others under "More".

    `titles` are those of the added pages. A page of docs/ that the list lacks is no error, since
    its title says what it is; the list decides only where it stands.
    """
    listed = set(_places(nav))
    missing = [place for place in dict.fromkeys(pages) if place not in listed]
    sections: list[Entry] = [
        {title: [*entries, *_added_to(title, missing, titles)]}
        for section in nav
        if isinstance(section, dict)
        for title, entries in section.items()
    ]
    left = [place for place in missing if place not in titles]
    return [*sections, {OTHERS: left}] if left else sections


def _added_to(section: str, pages: Sequence[str], titles: Mapping[str, str]) -> Iterator[Entry]:
    for place in pages:
        if place in titles and ADDED_TO[place.partition("/")[0] + "/"] == section:
            yield {titles[place]: place}


def _places(nav: Sequence[Entry]) -> Iterator[str]:
    for entry in nav:
        for value in [entry] if isinstance(entry, str) else entry.values():
            if isinstance(value, str):
                yield value
            else:
                yield from _places(value)
