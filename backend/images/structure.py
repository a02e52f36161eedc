"""How many parts a file may have: a small file of very many keeps a decoder busy for minutes.

The limits lie far above what cameras, editors and optimizers write, so they refuse only files that
were made to do harm. Frames of an animation, pages and strips have none: only the first frame or
page is decoded, and pixels are counted elsewhere.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Final

from backend.errors import ImageTooLarge
from backend.images import jpeg, png

MAX_SCANS: Final = 100
"""Scans of a JPEG. Encoders write about ten (libjpeg 10, optimizers such as mozjpeg up to 20)."""

MAX_SEGMENTS: Final = 1000
"""Segments of a JPEG. A profile of 4 MB has 64, and extended XMP of 10 MB 160."""

MAX_CHUNKS: Final = 25_000
"""Chunks of a PNG. In a file of 20 MB, encoders that write 8 KB at a time make 2,500."""

MAX_BLOCKS: Final = 100_000
"""Blocks and sub-blocks of a GIF before its first frame; 20 MB of metadata have 80,000."""

MAX_TAGS: Final = 1000
"""Tags of a TIFF's first page. Photographs and scans have 20, raw files and maps up to 200."""

_TIFF_SIZES: Final = {3: 2, 4: 4, 5: 8, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
"""TIFF's type of a value -> its bytes; of all others, one."""


def check_structure(data: bytes, kind: str | None) -> None:
    """Raise ImageTooLarge for a file of more parts than any real one; `kind` is its media type."""
    check = _CHECKS.get(kind or "")
    if check:
        check(data)


def _check_jpeg(data: bytes) -> None:
    scans = 0
    for number, marker in enumerate(jpeg.markers(data)):
        scans += marker == jpeg.SCAN
        _check("scans", scans, MAX_SCANS)
        _check("segments", number, MAX_SEGMENTS)


def _check_png(data: bytes) -> None:
    for number, _ in enumerate(png.chunks(data)):
        _check("chunks", number, MAX_CHUNKS)


def _check_gif(data: bytes) -> None:
    flags = data[10] if len(data) > 10 else 0
    at = 13 + (3 << (flags & 7) + 1 if flags & 0x80 else 0)
    blocks = 0
    while data[at : at + 1] == b"!":  # an extension: its label, then sub-blocks up to an empty one
        at += 2
        while at < len(data) and data[at]:
            at += data[at] + 1
            blocks += 1
            _check("blocks", blocks, MAX_BLOCKS)
        at += 1
        blocks += 1
        _check("blocks", blocks, MAX_BLOCKS)


def _check_tiff(data: bytes) -> None:
    order = "<" if data[:2] == b"II" else ">"
    is_big = data[2:4] in (b"+\0", b"\0+")
    number, entry = ("Q", "HHQ8x") if is_big else ("H", "HHL4x")
    try:
        (at,) = struct.unpack_from(order + ("Q" if is_big else "L"), data, 8 if is_big else 4)
        (count,) = struct.unpack_from(order + number, data, at)
        _check("tags", count, MAX_TAGS)
        at += struct.calcsize(order + number)
        values = 0
        for _ in range(count):
            _, kind, length = struct.unpack_from(order + entry, data, at)
            values += length * _TIFF_SIZES.get(kind, 1)
            at += struct.calcsize(order + entry)
    except struct.error:
        return  # cut off: its reader says so
    _check("bytes of tags", values, 2 * len(data))


_CHECKS: Final[dict[str, Callable[[bytes], None]]] = {
    "image/jpeg": _check_jpeg,
    "image/png": _check_png,
    "image/gif": _check_gif,
    "image/tiff": _check_tiff,
}


def _check(what: str, count: int, most: int) -> None:
    if count > most:
        raise ImageTooLarge(f"the file has more than {most:,} {what}, as no real image has")
