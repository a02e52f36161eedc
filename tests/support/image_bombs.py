"""Small image files of very many parts, made from bytes: each keeps a careless decoder busy."""

from __future__ import annotations

import io
import struct
import zlib

from PIL import Image

from support.image_files import encoded


def jpeg_of_scans(scans: int, *, side: int = 16) -> bytes:
    """A progressive JPEG whose last scan is repeated; all of its scans together are `scans`."""
    file = io.BytesIO()
    Image.new("RGB", (side, side), "grey").save(file, "JPEG", progressive=True)
    whole = file.getvalue()
    last = whole[whole.rindex(b"\xff\xda") : -2]
    return whole[:-2] + last * (scans - whole.count(b"\xff\xda")) + whole[-2:]


def jpeg_of_segments(count: int) -> bytes:
    """A JPEG with so many empty comments."""
    whole = encoded(Image.new("RGB", (16, 16), "grey"), "JPEG")
    return whole[:2] + b"\xff\xfe\0\2" * count + whole[2:]


def chunk(kind: bytes, body: bytes) -> bytes:
    """A chunk of a PNG, with its checksum."""
    checksum = struct.pack(">I", zlib.crc32(kind + body))
    return struct.pack(">I", len(body)) + kind + body + checksum


def png_with(extra: bytes) -> bytes:
    """A PNG with these chunks before its pixels."""
    whole = encoded(Image.new("RGB", (16, 16), "grey"))
    return whole[:33] + extra + whole[33:]


def long_text(size: int = 1_100_000) -> bytes:
    """A compressed text of 1 KB that is longer than all texts of a file may be."""
    return chunk(b"zTXt", b"k\0\0" + zlib.compress(b"a" * size, 9))


def gif_of_blocks(count: int) -> bytes:
    """A GIF with so many comments before its first frame, of two blocks each."""
    whole = encoded(Image.new("P", (16, 16)), "GIF")
    start = 13 + (3 << (whole[10] & 7) + 1 if whole[10] & 0x80 else 0)
    return whole[:start] + b"\x21\xfe\x01a\0" * count + whole[start:]


def tiff_of_tags(count: int, *, length: int = 1) -> bytes:
    """A grey TIFF with so many private tags of `length` bytes, which all lie in the same place."""
    needed = [(256, 4, 16), (257, 4, 16), (258, 3, 8), (259, 3, 1), (262, 3, 1), (273, 4, 8)]
    needed += [(277, 3, 1), (278, 4, 16), (279, 4, 256)]
    body = bytes(max(length, 256))
    entries = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in needed)
    entries += b"".join(struct.pack("<HHII", 60000 + n % 5000, 1, length, 8) for n in range(count))
    head = struct.pack("<H", count + len(needed)) + entries + bytes(4)
    return b"II*\0" + struct.pack("<I", 8 + len(body)) + body + head
