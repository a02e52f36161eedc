"""Image URIs that name files on this host, and how such a file is read."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

from backend.errors import ForbiddenImage, ImageUnavailable, MissingImage, NoImage
from backend.images.limits import ImageLimits

_CHUNK: Final = 1_000_000  # bytes


def is_remote(uri: str) -> bool:
    """Tell whether an image's URI is an address on the network rather than a local path."""
    return "://" in uri and not uri.startswith("file://")


def local_path(uri: str, *, folder: Path | None = None) -> Path:
    """Return the path behind `file:///…` or a plain path; with a `folder`, one inside of it.

    Raises ForbiddenImage for another host's file, or a path that leaves the folder.
    """
    if uri.startswith("file://"):
        parts = urlsplit(uri)
        if parts.netloc not in ("", "localhost"):
            raise ForbiddenImage(f"a file on another host: {parts.netloc}")
        uri = unquote(parts.path)
    return inside(folder, uri) if folder else Path(uri)


def inside(folder: Path, relative: str | Path) -> Path:
    """Return the real path of a file in a folder.

    Raises ForbiddenImage for a path that leaves it, by `..`, by being absolute or by a symlink.
    """
    root = folder.resolve()
    try:
        path = (root / relative).resolve()
    except (ValueError, OSError) as error:  # a NUL byte; a loop of symlinks
        raise ForbiddenImage(f"not a usable path: {error}") from None
    if not path.is_relative_to(root):
        raise ForbiddenImage(f"the path {str(relative)!r} leaves the catalogue's folder")
    return path


def read_file(path: str | Path, *, limits: ImageLimits) -> bytes:
    """Read a regular file. Blocks only as long as the file system does.

    Raises MissingImage, NoImage (a path that no file can have), ForbiddenImage (no regular file),
    ImageTooLarge, and ImageUnavailable when the file system failed or gives no permission.
    """
    try:
        # A file object would cost more than reading a small image; so would a buffer of the limit.
        file = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)  # a FIFO would wait
        try:
            status = os.fstat(file)
            if not stat.S_ISREG(status.st_mode):
                raise ForbiddenImage(f"{path} is not a regular file")
            size = status.st_size
            limits.check_bytes(size)
            data = os.read(file, size + 1)
            if len(data) == size:  # one more was asked for: the file has ended
                return data
            data += _read_on(file, limits.max_bytes + 1 - len(data))
        finally:
            os.close(file)
    except (FileNotFoundError, NotADirectoryError):
        raise MissingImage(f"there is no file {path}") from None
    except ValueError:  # a NUL byte
        raise NoImage(f"there is no file {path}") from None
    except IsADirectoryError:
        raise ForbiddenImage(f"{path} is not a regular file") from None
    except PermissionError:
        raise ImageUnavailable(f"no permission to read {path}") from None
    except OSError as error:
        raise ImageUnavailable(f"{path} cannot be read: {error.strerror}") from None
    limits.check_bytes(len(data))
    return data


def _read_on(file: int, most: int) -> bytes:
    """Read on: the file has changed meanwhile, or its file system gives less than was asked for."""
    data = b""
    while len(data) < most and (more := os.read(file, min(most - len(data), _CHUNK))):
        data += more
    return data
