"""A catalogue in a zip; damage to one of its members costs that member alone."""

from __future__ import annotations

import io
import posixpath
import stat
import struct
import zipfile
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO, Final, cast

from backend.catalogue.sources.feed import ImageFile
from backend.catalogue.sources.files import DAMAGED, tables_of
from backend.catalogue.sources.image_names import NameIndex, cleaned, folded, spellings
from backend.catalogue.sources.unreadable import check_zip
from backend.catalogue.sources.zip_images import zip_image
from backend.errors import ForbiddenImage, UnreadableCatalogue

_ENTRY_SIZE: Final = 46  # bytes of an entry of the list of members (APPNOTE 4.3.12)
_VERSION, _FLAGS, _LENGTHS = 6, 8, 28  # where in an entry
_MAGIC: Final = b"PK\x01\x02"
_UTF_8: Final = 0x800  # the flag: the name is UTF-8
_NEWEST: Final = 63  # the newest version of the format that zipfile opens


class Archive:
    """A zip, whose table may lie in a folder inside; its images have to be copied out."""

    def __init__(self, path: Path, *, title: str | None = None) -> None:
        """`title` is the name for errors, where the file is a temporary one."""
        title = title or path.name
        try:
            self._file = _Tolerant(io.FileIO(path))
        except OSError as error:
            raise UnreadableCatalogue(f"{title}: {error.strerror}") from None
        try:
            self._zip = zipfile.ZipFile(self._file)
            check_zip(self._zip, title)
        except (ValueError, struct.error, *DAMAGED) as error:
            self._file.close()
            raise UnreadableCatalogue(f"{title} is not a readable zip: {error}") from None
        except UnreadableCatalogue:
            self._file.close()
            raise
        self._file.is_mending = False
        self._members = _by_path(self._zip)
        self._folders: dict[str, dict[str, str]] = {}  # folder -> name in it -> path
        for name in self._members:
            folder, last = posixpath.split(name)
            self._folders.setdefault(folder, {})[last] = name
        self._spelled = {folded(folder): folder for folder in self._folders}
        self._index = lru_cache(maxsize=64)(lambda folder: NameIndex(self._folders[folder]))
        found = tables_of(self._members)
        depth = min((name.count("/") for name in found), default=0)
        self._top = [name for name in found if name.count("/") == depth]
        self._root = posixpath.dirname(self._top[0]) if self._top else ""

    @property
    def proves_the_end(self) -> bool:
        """Return True: members have a length and a checksum."""
        return True

    def tables(self) -> list[str]:
        """Return the tables at the top, or in the uppermost folder that has one."""
        return [posixpath.relpath(name, self._root or ".") for name in self._top]

    def zips(self) -> list[str]:
        """Return the zips in it."""
        return [name for name in self._members if name.lower().endswith(".zip")]

    def open(self, name: str) -> BinaryIO:
        """Open a member; raises UnreadableCatalogue."""
        info = self._members.get(posixpath.join(self._root, name))
        if info is None:
            raise UnreadableCatalogue(f"there is no {name} in the zip")
        if info.flag_bits & 1:
            raise UnreadableCatalogue(f"{name} in the zip is encrypted; make it without a password")
        try:
            return cast("BinaryIO", self._zip.open(info))
        except (ValueError, struct.error, *DAMAGED) as error:
            raise UnreadableCatalogue(f"{name} in the zip: {error}") from None

    def has_folder(self, name: str) -> bool:
        """Tell whether there are members below such a folder."""
        folder = posixpath.join(self._root, name, "")
        return any(member.startswith(folder) for member in self._members)

    def image(self, relative: str, *, base: str = "") -> ImageFile | None:
        """Find a member; see `zip_image`."""
        path = cleaned(relative)
        base = posixpath.normpath(posixpath.join(self._root, base))
        for find in (self._exact, self._alike):
            for spelled in spellings(path):
                if name := find(posixpath.normpath(posixpath.join(base, spelled))):
                    return self._image(name)
        return None

    def close(self) -> None:
        """Close the zip."""
        self._zip.close()
        self._file.close()

    def _exact(self, name: str) -> str | None:
        return name if name in self._members else None

    def _alike(self, name: str) -> str | None:
        folder, last = posixpath.split(name)
        if folder not in self._folders:
            spelled = self._spelled.get(folded(folder))
            if spelled is None:
                return None
            folder = spelled
        meant = self._index(folder).find(last)
        return self._folders[folder][meant] if meant else None

    def _image(self, name: str) -> ImageFile:
        info = self._members[name]
        if stat.S_ISLNK(info.external_attr >> 16):
            raise ForbiddenImage(f"{name} in the zip is a symlink")
        return zip_image(self._zip, info)


def _by_path(archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    """Return the members by path, with `/` where a Windows tool wrote a backslash.

    A name without the flag for UTF-8 that is UTF-8 all the same is found by both readings.
    """
    found: dict[str, zipfile.ZipInfo] = {}
    for info in archive.infolist():
        if info.is_dir() or info.filename.startswith("__MACOSX/"):
            continue
        name = info.filename.replace("\\", "/")
        found[posixpath.normpath(name) if not name.startswith("..") else name] = info
        if not info.flag_bits & _UTF_8 and not name.isascii():
            try:
                found.setdefault(name.encode("cp437").decode("utf-8"), info)
            except UnicodeError:
                continue
    return found


class _Tolerant(io.BufferedReader):
    """A zip file in which zipfile can read the whole list of members, whatever one of them says.

    zipfile gives up the zip for one name that is not UTF-8 although it says so, and for one member
    that asks for a newer version. Both are changed in the list alone, as it is read.
    """

    is_mending = True

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(size)
        if not self.is_mending or not data.startswith(_MAGIC):
            return data
        return _mended(bytearray(data))


def _mended(entries: bytearray) -> bytes:
    at = 0
    while at + _ENTRY_SIZE <= len(entries) and entries.startswith(_MAGIC, at):
        (flags,) = struct.unpack_from("<H", entries, at + _FLAGS)
        name, extra, comment = struct.unpack_from("<HHH", entries, at + _LENGTHS)
        start = at + _ENTRY_SIZE
        try:
            entries[start : start + name].decode("utf-8")
        except UnicodeDecodeError:
            struct.pack_into("<H", entries, at + _FLAGS, flags & ~_UTF_8)
        entries[at + _VERSION] = min(entries[at + _VERSION], _NEWEST)
        at = start + name + extra + comment
    return bytes(entries)
