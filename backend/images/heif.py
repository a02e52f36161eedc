"""HEIC, as phones write it: read with the extra `heif` (pillow-heif), named without it."""

from __future__ import annotations

import io
import re
import struct
from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from typing import BinaryIO, Final

from PIL import Image

from backend.errors import CorruptImage, NotAnImage

MEDIA_TYPE: Final = "image/heic"
HEAD: Final = 1 << 18
"""Bytes within which the boxes lie that say how large the images of a file are."""

_SIZE: Final = re.compile(rb"ispe\0{4}(.{8})", re.DOTALL)
_CROP: Final = re.compile(rb"clap(.{16})", re.DOTALL)
_PADDING: Final = 64  # an encoder pads each side to fewer pixels more than this
_TURN: Final = re.compile(rb"irot(.)", re.DOTALL)


def read_size(data: bytes) -> tuple[int, int]:
    """Return (width, height) of the largest image of a file, upright. Raises CorruptImage.

    Read from the bytes alone, without libheif, so that it may be done outside of a decoder process.
    A large image is stored in tiles, each with a size of its own.
    """
    sizes = [struct.unpack(">II", found[1]) for found in _SIZE.finditer(data, 0, HEAD)]
    if not sizes:
        raise CorruptImage("the header of the HEIC image is damaged or cut off; export it again")
    width, height = max(sizes, key=lambda size: size[0] * size[1])
    for found in _CROP.finditer(data, 0, HEAD):
        crop_width, per_width, crop_height, per_height = struct.unpack(">4I", found[1])
        if per_width == per_height == 1 and _is_padded(width, crop_width, height, crop_height):
            width, height = crop_width, crop_height
            break
    turn = _TURN.search(data, 0, HEAD)
    return (height, width) if turn and turn[1][0] % 2 else (width, height)


def _is_padded(width: int, inner_width: int, height: int, inner_height: int) -> bool:
    return 0 <= width - inner_width < _PADDING and 0 <= height - inner_height < _PADDING


@cache
def is_available() -> bool:
    """Tell whether the extra `heif` is installed."""
    return find_spec("pillow_heif") is not None


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
