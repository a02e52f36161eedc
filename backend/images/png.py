"""Remove from PNG files what does not affect pixels: huge texts, huge profiles, damaged chunks."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from typing import Final

SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
MAX_TEXT: Final = 1 << 20
"""Bytes of text, decompressed, that are kept of a file; EXIF and XMP may lie in a text."""

MAX_PROFILE: Final = 1 << 20
"""Bytes of a profile, decompressed. Those of screens and cameras have some kilobytes."""

MAX_EXIF: Final = 1 << 17
"""Bytes of EXIF. A JPEG holds at most half of that."""

MAX_EXTRAS: Final = 1000
"""Extra chunks that are looked at; those after them are left out."""

MAX_UNPACKED: Final = 8 << 20
"""Bytes that are decompressed to measure extra chunks; what comes after that is left out."""

PIXELS: Final = {b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"acTL", b"fcTL", b"fdAT"}
LENGTHS: Final = {b"gAMA": 4, b"cHRM": 32, b"sRGB": 1}
TEXTS: Final = {b"tEXt", b"zTXt", b"iTXt"}


def clean(data: bytes) -> bytes:
    """Return a PNG without the extra chunks that would keep Pillow from reading its pixels.

    Extra chunks are kept if they may matter to the pixels (colours, EXIF, XMP) and are sound.
    Chunks of pixels stay as they are, damaged or not. A file that needs nothing is not copied.
    """
    room, unpacked, extras = MAX_TEXT, 0, 0
    kept: list[bytes] = [SIGNATURE]
    whole = memoryview(data)
    changed = False
    start = end = len(SIGNATURE)  # of the chunks that are kept, but not yet copied
    for kind, begin, end in chunks(data):
        body = whole[begin + 8 : end - 4]
        if kind in PIXELS:
            continue
        extras += 1
        weight = None
        if extras <= MAX_EXTRAS and unpacked < MAX_UNPACKED and _is_sound(whole[begin:end]):
            weight = _weight(kind, body, room)
            unpacked += _cost(kind, weight, room)
        if weight is None or weight > room:
            kept.append(whole[start:begin])  # type: ignore[arg-type]
            start, changed = end, True
        else:
            room -= weight
    if not changed:
        return data
    return b"".join([*kept, whole[start:]])


def _is_sound(chunk: memoryview) -> bool:
    return zlib.crc32(chunk[4:-4]) == int.from_bytes(chunk[-4:])


def _cost(kind: bytes, weight: int | None, room: int) -> int:
    """Return about how many bytes were decompressed to measure a chunk."""
    if kind == b"iCCP":
        return MAX_PROFILE
    return min(room if weight is None else weight, room) if kind in TEXTS else 0


def chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Yield (kind, begin, end) of each whole chunk: length, kind, body and checksum."""
    begin = len(SIGNATURE)
    while begin + 12 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, begin)
        end = begin + 12 + length
        if end > len(data):
            return
        yield kind, begin, end
        begin = end


def _weight(kind: bytes, body: memoryview, room: int) -> int | None:
    """Return how many bytes of text a chunk holds; None for one that must be left out."""
    if kind == b"iCCP":
        return 0 if _profile_length(bytes(body)) <= MAX_PROFILE else None
    if kind in TEXTS:
        return _text_length(kind, bytes(body), room)
    if kind == b"eXIf":
        return 0 if len(body) <= MAX_EXIF else None
    return 0 if kind in LENGTHS and len(body) >= LENGTHS[kind] else None


def _profile_length(body: bytes) -> int:
    _, _, rest = body.partition(b"\0")
    return _unpacked_length(rest[1:], MAX_PROFILE) if rest[:1] == b"\0" else MAX_PROFILE + 1


def _text_length(kind: bytes, body: bytes, room: int) -> int | None:
    _, separator, text = body.partition(b"\0")
    if kind == b"tEXt":
        return len(body)
    if not separator or len(text) < 2:
        return None
    if kind == b"zTXt":
        return _unpacked_length(text[1:], room) if text[0] == 0 else None
    if text[0] == 0:
        return len(body)
    packed = text[2:].split(b"\0", 2)[-1]
    return _unpacked_length(packed, room) if text[1] == 0 else None


def _unpacked_length(packed: bytes, most: int) -> int:
    """Return the decompressed length, or one more than `most` if it is longer or damaged."""
    try:
        return len(zlib.decompressobj().decompress(packed, most + 1))
    except zlib.error:
        return most + 1
