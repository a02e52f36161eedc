"""Links between files of the repository, as links between pages of the manual.

A file that is no page, such as a module, has no address in the manual: its name stays as text.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from os.path import normpath, relpath
from pathlib import PurePosixPath
from typing import Final

from manual.places import COPIED

PLACES: Final[Mapping[str, str]] = {
    "README.md": "index.md",
    **{name: place for name, (place, _) in COPIED.items()},
}
"""Where the files outside docs/ stand in the manual."""

ORIGINS: Final = {place: name for name, place in PLACES.items() if place != "index.md"}

_LINK: Final = re.compile(r"(?P<text>\[[^\]]*\])\((?P<target>[^)\s#:]+)(?P<anchor>#[^)]*)?\)")
_FENCE: Final = re.compile(r"^\s*(```|~~~)")
_ITEM: Final = re.compile(r"^([-*] |\d+\. )")


def rewrite(markdown: str, place: str) -> str:
    """Return the text of a page with links that hold in the manual, as mkdocs reads it.

    mkdocs wants an empty line above a list, which GitHub does not; it is added.
    """
    lines: list[str] = []
    fenced = False
    for line in markdown.splitlines():
        if _FENCE.match(line):
            fenced = not fenced
        elif not fenced:
            if _ITEM.match(line) and lines and _is_text(lines[-1]):
                lines.append("")
            lines.append(_LINK.sub(lambda link: _moved(link, place), line))
            continue
        lines.append(line)
    return "\n".join(lines) + "\n"


def _is_text(line: str) -> bool:
    return bool(line) and not _ITEM.match(line) and not line.startswith(" ")


def _moved(link: re.Match[str], place: str) -> str:
    origin = ORIGINS.get(place, f"docs/{place}")
    named = normpath(PurePosixPath(origin).parent / link["target"])
    inside = named.removeprefix("docs/")
    goal = inside if inside != named else PLACES.get(named)
    if goal is None:
        return link["text"][1:-1]
    return f"{link['text']}({relpath(goal, PurePosixPath(place).parent)}{link['anchor'] or ''})"
