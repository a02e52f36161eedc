"""HEIC, as phones write it: read with the extra `heif` (pillow-heif), named without it."""

from __future__ import annotations

import io
import re
import struct
from collections.abc import Callable
from typing import BinaryIO, Final

from PIL import Image

from backend.errors import CorruptImage, NotAnImage

MEDIA_TYPE: Final = "image/heic"
HEAD: Final = 1 << 18
"""Bytes within which the boxes lie that say how large the images of a file are."""

_SIZE: Final = re.compile(rb"ispe\0{4}(.{8})", re.DOTALL)
_TURN: Final = re.compile(rb"irot(.)", re.DOTALL)


def read_size(data: bytes) -> tuple[int, int]:
    """Return (width, height) of the largest image of a file, upright. Raises CorruptImage.

    Read from the bytes alone, without libheif, so that it may be done outside of a decoder process.
    A large image is stored in tiles, each with a size of its own.
    """
    sizes = [struct.unpack(">II", found[1]) for found in _SIZE.finditer(data, 0, HEAD)]
    if not sizes:
        raise CorruptImage("the image's header is damaged or cut off")
    width, height = max(sizes, key=lambda size: size[0] * size[1])
    turn = _TURN.search(data, 0, HEAD)
    return (height, width) if turn and turn[1][0] % 2 else (width, height)


def open_heif(data: bytes) -> Image.Image:
    """Open a HEIC file; its pixels are decoded by `load`, upright. Raises NotAnImage."""
    try:
        import pillow_heif  # noqa: PLC0415  (an optional dependency)
    except ImportError:
        raise NotAnImage(
            "the file is HEIC, which needs the extra 'heif' to be installed: lookalike[heif]"
        ) from None
    pillow_heif.options.DECODE_THREADS = 1  # there are as many decoder processes as wanted
    read: Callable[[BinaryIO], Image.Image] = pillow_heif.HeifImageFile
    return read(io.BytesIO(data))
