"""The image that a member of a zip is: its bytes are read when they are wanted."""

from __future__ import annotations

import struct
import zipfile
from functools import partial

from backend.catalogue.sources.feed import ImageFile
from backend.catalogue.sources.files import DAMAGED
from backend.errors import CorruptImage, ImageTooLarge, ImageUnavailable


def zip_image(parts: zipfile.ZipFile, info: zipfile.ZipInfo, *, where: str = "zip") -> ImageFile:
    """Return a member as an image, which can be read until the zip is closed.

    Its checksum replaces its time, which a zip stores only to two seconds. `where` is the name of
    the zip's kind, for errors.
    """
    read = partial(_read, parts, info, where)
    return ImageFile(uri=None, size=info.file_size, mtime_ns=info.CRC, read=read)


def _read(parts: zipfile.ZipFile, info: zipfile.ZipInfo, where: str, most: int) -> bytes:
    name = info.filename
    if info.file_size > most:
        raise ImageTooLarge(f"{name} has {info.file_size:,} bytes, more than {most:,}")
    try:
        with parts.open(info) as member:
            return member.read(most)
    except OSError as error:
        if error.errno is None:  # of a decompressor
            raise CorruptImage(f"{name} in the {where} is damaged: {error}") from None
        reason = f"{name} in the {where} cannot be read: {error.strerror}"
        raise ImageUnavailable(reason) from None
    except (ValueError, struct.error, *DAMAGED) as error:
        raise CorruptImage(f"{name} in the {where} is damaged: {error}") from None
