"""A feed's files, in a folder or in a zip. A row can name no file outside of it."""

from __future__ import annotations

import os
import posixpath
import stat
import zipfile
import zlib
from collections.abc import Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import BinaryIO, Final, Protocol, cast
from urllib.parse import quote

from backend import images
from backend.catalogue.sources.feed import ImageFile
from backend.errors import (
    CorruptImage,
    ForbiddenImage,
    ImageError,
    ImageTooLarge,
    UnreadableCatalogue,
)

STYLES: Final = "styles.csv"
TABLES: Final = (".csv", ".tsv", ".parquet", ".pq")
DAMAGED: Final = (  # what reading a member of a damaged or encrypted zip raises
    OSError,
    EOFError,
    RuntimeError,
    NotImplementedError,
    zipfile.BadZipFile,
    zlib.error,
)


class Files(Protocol):
    """The files of one catalogue, named by paths relative to its table's folder."""

    def table(self) -> str:
        """Return the name of the table: styles.csv, or the only table there is.

        Raises UnreadableCatalogue, with what is there, if there is none or more than one.
        """
        ...

    def open(self, name: str) -> BinaryIO:
        """Open a file. Raises UnreadableCatalogue."""
        ...

    def has_folder(self, name: str) -> bool:
        """Tell whether there is such a folder, and it is not empty."""
        ...

    def image(self, relative: str, *, base: str = "") -> ImageFile | None:
        """Find an image below the folder `base`; None if there is none.

        `base` comes from the operator and may be a symlink; `relative` comes from a row. Raises
        ForbiddenImage if `relative` leads out of `base`.
        """
        ...

    def close(self) -> None:
        """Close what is open."""
        ...


class Folder:
    """A folder on this host; its images can stay where they are."""

    def __init__(self, root: Path) -> None:
        self._root = root.resolve()
        self._real_folder = lru_cache(maxsize=4096)(self._find_folder)

    def table(self) -> str:
        """Return the name of the one table."""
        return _one_table([entry.name for entry in self._root.iterdir() if entry.is_file()])

    def open(self, name: str) -> BinaryIO:
        """Open a file."""
        try:
            return (self._root / name).open("rb")
        except OSError as error:
            raise UnreadableCatalogue(f"{name}: {error.strerror}") from None

    def has_folder(self, name: str) -> bool:
        """Tell whether there is such a folder."""
        return (self._root / name).is_dir()

    def image(self, relative: str, *, base: str = "") -> ImageFile | None:
        """Find an image, with one system call if its folder was looked at before."""
        parent, name = posixpath.split(relative)
        if name in ("", ".", "..") or "\0" in relative:
            raise ForbiddenImage(f"{relative!r} names no file")
        folder = self._real_folder(base, parent)
        try:
            status = os.lstat(f"{folder}/{name}")
            if stat.S_ISLNK(status.st_mode):
                target = images.inside(self._root / base, Path(folder, name))
                return _local_image(str(target), target.stat())
        except OSError:
            return None
        return _local_image(f"{folder}/{name}", status)

    def close(self) -> None:
        """Do nothing: a folder keeps no file open."""

    def _find_folder(self, base: str, parent: str) -> str:
        return str(images.inside(self._root / base, parent))


def _local_image(path: str, status: os.stat_result) -> ImageFile | None:
    if not stat.S_ISREG(status.st_mode):
        return None
    return ImageFile(
        uri="file://" + quote(path),
        size=status.st_size,
        mtime_ns=status.st_mtime_ns,
        read=lambda most: images.read_file(path, limits=images.ImageLimits(max_bytes=most)),
    )


class Archive:
    """A zip, whose table may lie in a folder inside; its images have to be copied out."""

    def __init__(self, path: Path) -> None:
        try:
            self._zip = zipfile.ZipFile(path)
        except (zipfile.BadZipFile, OSError) as error:
            raise UnreadableCatalogue(f"{path.name} is not a readable zip: {error}") from None
        names = [name for name in self._zip.namelist() if not name.startswith("__MACOSX/")]
        depth = min((name.count("/") for name in names if _is_table(name)), default=0)
        self._top = [name for name in names if name.count("/") == depth and _is_table(name)]
        self._root = posixpath.dirname(self._top[0]) if self._top else ""

    def table(self) -> str:
        """Return the name of the table, at the top or in the uppermost folder that has one."""
        return _one_table([posixpath.relpath(name, self._root or ".") for name in self._top])

    def open(self, name: str) -> BinaryIO:
        """Open a member."""
        try:
            return cast("BinaryIO", self._zip.open(posixpath.join(self._root, name)))
        except (KeyError, *DAMAGED) as error:
            raise UnreadableCatalogue(f"{name} in the zip: {error}") from None

    def has_folder(self, name: str) -> bool:
        """Tell whether there are members below such a folder."""
        folder = posixpath.join(self._root, name, "")
        return any(member.startswith(folder) for member in self._zip.namelist())

    def image(self, relative: str, *, base: str = "") -> ImageFile | None:
        """Find a member. Its checksum replaces its time, which a zip stores only to two seconds."""
        base = posixpath.normpath(posixpath.join(self._root, base))
        name = posixpath.normpath(posixpath.join(base, relative))
        if base != "." and not name.startswith(base + "/"):
            raise ForbiddenImage(f"the path {relative!r} leaves the catalogue's folder")
        info = self._zip.NameToInfo.get(name)
        if info is None:
            return None
        if stat.S_ISLNK(info.external_attr >> 16):
            raise ForbiddenImage(f"{name} in the zip is a symlink")
        return ImageFile(
            uri=None, size=info.file_size, mtime_ns=info.CRC, read=partial(self._read, info)
        )

    def close(self) -> None:
        """Close the zip."""
        self._zip.close()

    def _read(self, info: zipfile.ZipInfo, most: int) -> bytes:
        if info.file_size > most:
            raise ImageTooLarge(f"{info.filename} has {info.file_size:,} bytes, more than {most:,}")
        try:
            with self._zip.open(info) as member:
                return member.read(most)
        except DAMAGED as error:
            raise CorruptImage(f"{info.filename} in the zip is damaged: {error}") from None


def read_if_there(files: Files, relative: str, *, most: int) -> bytes | None:
    """Return a small file's bytes; None if it is missing, damaged or larger than `most`."""
    try:
        found = files.image(relative)
        return found.read(most) if found else None
    except ImageError:
        return None


def _is_table(name: str) -> bool:
    return name.lower().endswith(TABLES) and not posixpath.basename(name).startswith(".")


def _one_table(names: Sequence[str]) -> str:
    tables = sorted(name for name in names if _is_table(name))
    if STYLES in tables:
        return STYLES
    if len(tables) != 1:
        found = ", ".join(tables) or "no CSV at all"
        raise UnreadableCatalogue(
            f"a catalogue holds {STYLES}, or one CSV; here is {found}. Name the file itself."
        )
    return tables[0]
