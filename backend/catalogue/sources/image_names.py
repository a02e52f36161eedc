"""How else a file may be spelled that a row names: case, Unicode form, extension, percent codes."""

from __future__ import annotations

import posixpath
import unicodedata
from collections.abc import Iterable, Iterator
from typing import Final
from urllib.parse import unquote

from backend.errors import ForbiddenImage

EXTENSIONS: Final = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff"),
    *(".avif", ".heic", ".heif"),
)
"""Of images, the preferred first."""


def cleaned(relative: str) -> str:
    """Return a row's path below its folder: without a leading `/`, and without `..`.

    Raises ForbiddenImage if the path leads out of the folder, or names no file.
    """
    if "\0" in relative or posixpath.basename(relative) in ("", ".", ".."):
        raise ForbiddenImage(f"{relative!r} names no file")
    path = posixpath.normpath(relative.lstrip("/"))
    if path == ".." or path.startswith("../"):
        raise ForbiddenImage(f"the path {relative!r} leaves the catalogue's folder")
    return path


def spellings(path: str) -> Iterator[str]:
    """Yield a path as it is, then as it may have been meant: without percent codes, with `/`.

    Last comes the path without what follows a `?`, which shops add to defeat caches.
    """
    yield path
    bare = unquote(path)
    for other in dict.fromkeys((bare, path.replace("\\", "/"), bare.replace("\\", "/"))):
        if other != path:
            yield cleaned(other)
    if "%" in path or "+" in path:
        yield from map(cleaned, _rarer_spellings(path, bare))
    without_query = path.partition("?")[0]
    if without_query not in (path, ""):
        yield from spellings(cleaned(without_query))


def _rarer_spellings(path: str, bare: str) -> Iterator[str]:
    """Yield a path whose codes were written twice, are not of UTF-8, or have + for a blank."""
    if (twice := unquote(bare)) != bare:
        yield twice
    if "\N{REPLACEMENT CHARACTER}" in bare:
        yield unquote(path, encoding="cp1252", errors="replace")
    if "+" in path:
        yield unquote(path.replace("+", " "))


def folded(name: str) -> str:
    """Return a name without differences of case and of Unicode form."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def stem(name: str) -> str:
    """Return a name without the extension of an image; another extension is part of the name."""
    start, extension = posixpath.splitext(name)
    return start if extension.lower() in EXTENSIONS else name


class NameIndex:
    """The names of one folder, found by a name that is spelled otherwise.

    The folded name is tried first, then its stem with any extension of an image. Where several
    names would do, the choice does not depend on the order in which they were given.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self._by_name: dict[str, str] = {}
        self._by_stem: dict[str, str] = {}
        for name in sorted(names, key=_preference):
            key = folded(name)
            self._by_name.setdefault(key, name)
            if stem(key) != key:
                self._by_stem.setdefault(stem(key), name)

    def find(self, name: str) -> str | None:
        """Return the name in the folder that is meant, None if there is none."""
        key = folded(name)
        return self._by_name.get(key) or self._by_stem.get(stem(key))


def _preference(name: str) -> tuple[int, str]:
    extension = posixpath.splitext(name)[1].lower()
    at = EXTENSIONS.index(extension) if extension in EXTENSIONS else len(EXTENSIONS)
    return at, name
