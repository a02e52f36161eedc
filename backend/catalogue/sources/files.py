"""A feed's files, in a folder or in a zip. A row can name no file outside of it."""

from __future__ import annotations

import lzma
import os
import posixpath
import re
import stat
import zipfile
import zlib
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO, Final, Protocol
from urllib.parse import quote

from backend import images
from backend.catalogue.sources.feed import ImageFile
from backend.catalogue.sources.image_names import NameIndex, cleaned, spellings
from backend.errors import ForbiddenImage, ImageError, ImageUnavailable, UnreadableCatalogue

STYLES: Final = "styles.csv"
PARQUET: Final = (".parquet", ".pq")
TABLES: Final = (".csv", ".tsv", *PARQUET)
LESS_CERTAIN: Final = (  # names that other files beside a table often have
    *(".jsonl", ".ndjson", ".xml", ".xlsx", ".xlsm", ".ods"),
    *(".csv.gz", ".tsv.gz", ".jsonl.gz", ".ndjson.gz", ".xml.gz"),
)
LEAST_CERTAIN: Final = (".txt", ".tab", ".txt.gz")  # Google's own examples are .txt
SETTINGS_TOO: Final = (".json", ".json.gz")  # names that programs give their settings
PACKED: Final = (".bz2", ".xz", ".zst")
_ONE_TABLE: Final = f"a catalogue holds {STYLES}, or one CSV, XLSX, JSON Lines, XML or Parquet file"
_NAME_IT: Final = "Name the file itself."
_PLAIN_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
"""Of a file: it has no path before it, and nothing in it that a URI would have to escape."""
DAMAGED: Final = (  # what reading a member of a damaged or encrypted zip raises
    OSError,
    EOFError,
    RuntimeError,
    NotImplementedError,
    lzma.LZMAError,
    zipfile.BadZipFile,
    zlib.error,
)


def damage(error: BaseException) -> str:
    """Say what a member of DAMAGED means: the host cannot read the file, or it is damaged."""
    if isinstance(error, OSError) and error.errno is not None:
        return f"the file cannot be read: {error.strerror}"
    return f"the file is damaged: {error}"


class Files(Protocol):
    """The files of one catalogue, named by paths relative to its table's folder."""

    @property
    def proves_the_end(self) -> bool:
        """Whether a file that can be read to its end is as long as when it was put there."""
        ...

    def tables(self) -> list[str]:
        """Return the names of all files beside which a table may lie; see `choose_tables`."""
        ...

    def open(self, name: str) -> BinaryIO:
        """Open a file. Raises UnreadableCatalogue, also for what is no regular file."""
        ...

    def has_folder(self, name: str) -> bool:
        """Tell whether there is such a folder, and it is not empty."""
        ...

    def image(self, relative: str, *, base: str = "") -> ImageFile | None:
        """Find an image below the folder `base`; None if there is none.

        `base` comes from the operator and may be a symlink; `relative` comes from a row. The exact
        name comes first, then one that is spelled otherwise (`image_names`). Raises ForbiddenImage
        if `relative` leads out of `base`.
        """
        ...

    def close(self) -> None:
        """Close what is open."""
        ...


class Folder:
    """A folder on this host; its images can stay where they are.

    The operator may put links to folders into it. A link to a file has to stay inside.
    """

    def __init__(self, root: Path, *, also: Path | None = None) -> None:
        """`also` is a second folder for images: that of a table which `root` holds a link to."""
        self._root = root.resolve()
        self._also = Folder(also) if also and also.resolve() != self._root else None
        self._real_folder = lru_cache(maxsize=4096)(self._find_folder)
        self._index = lru_cache(maxsize=64)(_index)

    @property
    def proves_the_end(self) -> bool:
        """Return False: a file may have been cut off before it came here."""
        return False

    def tables(self) -> list[str]:
        """Return the names of its tables."""
        return [entry.name for entry in _entries(self._root) if _is(entry, os.DirEntry.is_file)]

    def only_folder(self) -> Path | None:
        """Return the folder in it, if there is only one; hidden ones do not count."""
        found = [entry for entry in _entries(self._root) if not entry.name.startswith((".", "__"))]
        below = [Path(entry.path) for entry in found if _is(entry, os.DirEntry.is_dir)]
        return below[0] if len(below) == 1 else None

    def open(self, name: str) -> BinaryIO:
        """Open a file; raises UnreadableCatalogue."""
        try:
            stream = open(self._root / name, "rb", opener=_open_without_waiting)  # noqa: SIM115
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise UnreadableCatalogue(f"{name}: {reason}") from None
        if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
            stream.close()
            raise UnreadableCatalogue(f"{name} is not a regular file")
        return stream

    def has_folder(self, name: str) -> bool:
        """Tell whether there is such a folder."""
        return (self._root / name).is_dir()

    def image(self, relative: str, *, base: str = "") -> ImageFile | None:
        """Find an image, with one system call if its folder was looked at before."""
        if _PLAIN_NAME.fullmatch(relative):
            folder = self._real_folder(base, "")
            if folder and (found := self._in(folder, relative, escaped=relative)):
                return found
        path = cleaned(relative)
        for spelled in spellings(path):
            if found := self._exact(spelled, base):
                return found
        for spelled in spellings(path):
            if found := self._alike(spelled, base):
                return found
        return self._also.image(relative, base=base) if self._also else None

    def _exact(self, path: str, base: str) -> ImageFile | None:
        parent, name = posixpath.split(path)
        return self._exact_name(name, base, parent)

    def _exact_name(self, name: str, base: str, parent: str = "") -> ImageFile | None:
        folder = self._real_folder(base, parent)
        return self._in(folder, name) if folder else None

    def _alike(self, path: str, base: str) -> ImageFile | None:
        """Find an image whose name, or whose folders' names, are spelled otherwise."""
        *parents, name = path.split("/")
        folder = self._real_folder(base, "")
        for part in parents:
            named = folder and self._index(folder).find(part)
            folder = named and self._real_folder(folder, named)
        meant = folder and self._index(folder).find(name)
        return self._in(folder, meant) if folder and meant else None

    def _in(self, folder: str, name: str, *, escaped: str = "") -> ImageFile | None:
        try:
            status = os.lstat(f"{folder}/{name}")
            if stat.S_ISLNK(status.st_mode):
                target = Path(folder, name).resolve()
                if not (target.is_relative_to(folder) or target.is_relative_to(self._root)):
                    raise ForbiddenImage(f"{name!r} is a link that leaves the catalogue's folder")
                return _local_image(str(target.parent), target.name, target.stat())
        except PermissionError as error:  # of the folder: the file may well be there
            return _unreadable_image(folder, name, error)
        except (OSError, RuntimeError, ValueError):  # not there, or links in a circle
            return None
        return _local_image(folder, name, status, escaped)

    def close(self) -> None:
        """Do nothing: a folder keeps no file open."""

    def _find_folder(self, base: str, parent: str) -> str | None:
        """Return the real path of a folder; None if there is none."""
        try:
            return str((self._root / base / parent).resolve(strict=True))
        except PermissionError:  # of a folder above it; `_in` says so
            return str(self._root / base / parent)
        except (OSError, RuntimeError, ValueError):
            return None


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as found:
            return sorted(found, key=lambda entry: entry.name)
    except OSError as error:
        raise UnreadableCatalogue(f"{folder}: {error.strerror}") from None


def _is(entry: os.DirEntry[str], kind: Callable[[os.DirEntry[str]], bool]) -> bool:
    """Tell whether an entry is of a kind; a link in a circle is of none."""
    try:
        return kind(entry)
    except OSError:
        return False


def _index(folder: str) -> NameIndex:
    try:
        return NameIndex(os.listdir(folder))  # noqa: PTH208 - names, not paths
    except OSError:
        return NameIndex([])


def _open_without_waiting(path: str, flags: int) -> int:
    """Open a FIFO too at once, so that it can be refused: a plain `open` waits for a writer."""
    return os.open(path, flags | os.O_NONBLOCK)


def _local_image(
    folder: str, name: str, status: os.stat_result, escaped: str = ""
) -> ImageFile | None:
    """Return a file as an image, None for what is none; `escaped` is its name in a URI."""
    if not stat.S_ISREG(status.st_mode):
        return None
    return ImageFile(
        uri=f"{_folder_uri(folder)}/{escaped or quote(name)}",
        size=status.st_size,
        mtime_ns=status.st_mtime_ns,
        read=lambda most: images.read_file(f"{folder}/{name}", limits=_limits(most)),
    )


def _unreadable_image(folder: str, name: str, error: PermissionError) -> ImageFile:
    """Return an image of a folder that this process may not look into.

    It is referred to where it should be, so that its product waits for the permission.
    """

    def read(_most: int) -> bytes:
        raise ImageUnavailable(f"no permission to look for {folder}/{name}") from error

    return ImageFile(uri=f"{_folder_uri(folder)}/{quote(name)}", size=0, mtime_ns=0, read=read)


@lru_cache(maxsize=64)
def _folder_uri(folder: str) -> str:
    return "file://" + quote(folder)


@lru_cache(maxsize=4)
def _limits(most: int) -> images.ImageLimits:
    return images.ImageLimits(max_bytes=most)


def read_if_there(files: Files, relative: str, *, most: int) -> bytes | None:
    """Return a small file's bytes; None if it is missing, damaged or larger than `most`."""
    try:
        found = files.image(relative)
        return found.read(most) if found else None
    except ImageError:
        return None


def tables_of(names: Iterable[str]) -> list[str]:
    """Return the names that are a table's; less certain ones only if there are no others."""
    shown = sorted(name for name in names if not _is_no_table(posixpath.basename(name)))
    for suffixes in (TABLES, LESS_CERTAIN, LEAST_CERTAIN, SETTINGS_TOO):
        if found := [name for name in shown if _without_packing(name).endswith(suffixes)]:
            return found
    return []


def is_least_certain(name: str) -> bool:
    """Tell whether a table may as well be the settings of a program."""
    return _without_packing(name).endswith(SETTINGS_TOO)


def _without_packing(name: str) -> str:
    """Return a name in small letters; what is packed otherwise counts as if it was gzipped."""
    name = name.lower()
    return f"{name.rpartition('.')[0]}.gz" if name.endswith(PACKED) else name


def _is_no_table(name: str) -> bool:
    return name.startswith((".", "_")) or name.lower().startswith(("readme", "license", "robots"))


def choose_tables(names: Sequence[str]) -> list[str]:
    """Return the table to read: styles.csv, the only one there is, or all parts of a Parquet file.

    Raises UnreadableCatalogue, with what is there, if there is none or more than one.
    """
    tables = tables_of(names)
    if STYLES in tables:
        return [STYLES]
    if len(tables) > 1 and not all(name.lower().endswith(PARQUET) for name in tables):
        raise UnreadableCatalogue(f"{_ONE_TABLE}; there are {', '.join(tables)}. {_NAME_IT}")
    if not tables:
        raise UnreadableCatalogue(f"{_ONE_TABLE}; there is none of these. {_NAME_IT}")
    return tables
