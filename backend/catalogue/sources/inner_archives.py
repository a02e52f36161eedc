"""Archives that come packed: a tar, a zip in a gzip, and a zip in a zip.

Each becomes a zip in a temporary file, so that the rest is read as any zip. The file has no name
any more when it is read, so nothing is left of it, however the process ends.
"""

from __future__ import annotations

import shutil
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final

from backend.catalogue.sources.archive import Archive
from backend.catalogue.sources.files import DAMAGED
from backend.catalogue.sources.packing import CHUNK, read_full, unpacked
from backend.errors import UnreadableCatalogue

ZIP: Final = b"PK\3\4"
_TAR: Final = b"ustar"
_TAR_AT: Final = 257
_DEEPEST: Final = 3  # zips within zips


def packed_archive(path: Path) -> Archive | None:
    """Open a tar, packed or not, or a packed zip. None for any other file."""
    try:
        with path.open("rb") as file:
            stream = unpacked(file)
            head = read_full(stream, _TAR_AT + len(_TAR))
        if head[_TAR_AT:] == _TAR:
            return _of_tar(path)
        is_packed_zip = head.startswith(ZIP) and not zipfile.is_zipfile(path)
        return _of_packed_zip(path) if is_packed_zip else None
    except (*DAMAGED, tarfile.TarError):
        return None  # what is wrong with it is said where it is read


def inner_archive(archive: Archive) -> Archive:
    """Open the only zip in a zip that holds no table; any other archive is returned."""
    for _ in range(_DEEPEST):
        names = [] if archive.tables() else archive.zips()
        if len(names) != 1:
            break
        with archive.open(names[0]) as member, _zip(names[0]) as copy:
            _Room().copy(member, copy)
            inner = Archive(Path(copy.name), title=names[0])
        archive.close()
        archive = inner
    return archive


def _of_packed_zip(path: Path) -> Archive | None:
    with path.open("rb") as file, _zip(path.name) as copy:
        _Room().copy(unpacked(file), copy)
        return Archive(Path(copy.name), title=path.name) if zipfile.is_zipfile(copy.name) else None


def _of_tar(path: Path) -> Archive:
    """Open a tar. Raises UnreadableCatalogue if it is damaged or ends early."""
    with path.open("rb") as file, _zip(path.name) as copy:
        try:
            with (
                tarfile.open(fileobj=unpacked(file), mode="r|") as tar,
                zipfile.ZipFile(copy, "w") as made,
            ):
                room = _Room()
                for member in tar:
                    if member.isfile() and (stream := tar.extractfile(member)):
                        with made.open(member.name, "w", force_zip64=True) as target:
                            room.copy(stream, target)
        except (*DAMAGED, tarfile.TarError) as error:
            raise UnreadableCatalogue(f"{path.name}: the tar is damaged: {error}") from None
        copy.flush()
        return Archive(Path(copy.name), title=path.name)


@contextmanager
def _zip(title: str) -> Iterator[IO[bytes]]:
    """Give a temporary file; an open archive keeps it. A full disk is named."""
    with tempfile.NamedTemporaryFile(suffix=".zip") as file:
        try:
            yield file
        except OSError as error:
            raise UnreadableCatalogue(f"{title} cannot be unpacked: {error.strerror}") from None


class _Room:
    """What may be unpacked: half of the disk stays free, whatever is packed in a file."""

    def __init__(self) -> None:
        self._left = shutil.disk_usage(tempfile.gettempdir()).free // 2

    def copy(self, source: IO[bytes], target: IO[bytes]) -> None:
        while chunk := source.read(CHUNK):
            self._left -= target.write(chunk)
            if self._left < 0:
                raise UnreadableCatalogue(
                    "what is packed in it needs more than half of the free disk"
                )
        target.flush()
