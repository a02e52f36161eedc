r"""Where else an image may lie: paths of another computer, names without their folder.

Shops write `C:\Users\Anna\img\1.jpg`, or `1.jpg` where the images are in `images/`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final
from urllib.parse import unquote

from backend.catalogue.sources.files import Files

_NAMES: Final = (
    *("images", "image", "img", "imgs", "pictures", "photos", "bilder", "fotos", "media"),
    "product_images",
)
_FOLDERS: Final = tuple(
    spelled for name in _NAMES for spelled in (name, name.title(), name.upper())
)
"""Folders beside a table that hold its images."""
_OF_A_COMPUTER: Final = re.compile(r"[A-Za-z]:[\\/]|\\\\|//|/")
"""How a path begins that counts on one computer alone: with a drive, a server or the root."""
_FILE: Final = re.compile(r"file:/*(?=[A-Za-z]:|/)", re.IGNORECASE)
MOST_PARTS: Final = 20


def path_of(uri: str) -> str | None:
    """Return the path in a `file:` URI; None for any other text."""
    found = _FILE.match(uri)
    return unquote(uri[found.end() :]) if found else None


def folders_of_images(files: Files) -> Sequence[str]:
    """Return the folders beside a table that have a usual name of folders of images."""
    return [name for name in _FOLDERS if files.has_folder(name)]


def other_places(path: str, folders: Sequence[str]) -> Iterator[str]:
    """Yield where an image may lie that is not where its path says, the likeliest first.

    Of a path of another computer these are its last parts: the longer ones first, then the name
    alone, also in the folders of images. A path below the table's folder is looked for in them.
    """
    start = _OF_A_COMPUTER.match(path)
    parts = [part for part in re.split(r"[\\/]+", path[start.end() if start else 0 :]) if part]
    if not parts or ".." in parts or len(parts) > MOST_PARTS:
        return
    if not start:
        yield from (f"{at}/{'/'.join(parts)}" for at in folders if at != parts[0])
        return
    yield from ("/".join(parts[at:]) for at in range(len(parts)))
    yield from (f"{folder}/{parts[-1]}" for folder in folders)
