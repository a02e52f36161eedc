"""Packed files, read as a stream: gzip, bzip2, xz and Zstandard, also within each other."""

from __future__ import annotations

import bz2
import io
import lzma
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, BinaryIO, Final, TypeAlias

from backend.catalogue.sources import zstandard

Translate: TypeAlias = Callable[[bytes, bool], bytes]
"""Takes a chunk, and whether it is the last; returns what stands in its place."""

CHUNK: Final = 65_536
GZIP: Final = b"\x1f\x8b"
GZIP_WINDOW: Final = zlib.MAX_WBITS + 16  # zlib then reads the header and trailer of a gzip
_BZIP: Final = b"BZh"
_BLOCK: Final = b"1A"  # begins the first block of bzip2, behind a digit
_XZ: Final = b"\xfd7zXZ\0"
_MOST_WITHIN: Final = 3  # files packed within packed ones


@dataclass(kw_only=True)
class Packing:
    """How a packed file ended, filled in as it is read; any other leaves it as it is."""

    is_proven: bool = False  # with its trailer, which has the length and a checksum
    ended_early: str | None = None

    def end(self, is_whole: bool) -> None:
        """Note how a file of Zstandard ended."""
        self.is_proven = is_whole
        if not is_whole:
            self.ended_early = "the Zstandard file ends before its last frame does"


def unpacked(stream: BinaryIO, packing: Packing | None = None) -> BinaryIO:
    """Unpack a file; any other stream is returned from its beginning.

    A file that ends early gives what it holds, and `packing` says so. Reading raises an error of
    `files.DAMAGED` for a damaged one.
    """
    packing = packing or Packing()
    for _ in range(_MOST_WITHIN):
        head = read_full(stream, len(_XZ))
        if head.startswith(zstandard.MAGIC) and zstandard.can_unpack():
            stream = io.BufferedReader(zstandard.Unpacked(stream, head, packing.end), CHUNK)
            continue
        translate = _unpacker(head, packing)
        stream = io.BufferedReader(Translated(stream, head, translate or as_it_is), CHUNK)
        if translate is None:
            break
    return stream


def _unpacker(head: bytes, packing: Packing) -> Translate | None:
    if head.startswith(GZIP):
        return gunzip(packing)
    if head.startswith(_BZIP) and head.endswith(_BLOCK):
        return _with_parts(bz2.BZ2Decompressor, _BZIP, "bzip2 file", packing)
    if head.startswith(_XZ):
        return _with_parts(lzma.LZMADecompressor, _XZ, "xz file", packing)
    return None


def gunzip(packing: Packing) -> Translate:
    """Return what unpacks a gzip chunk by chunk; with the last one, `packing` says how it ended."""

    def decompressor() -> Any:
        return zlib.decompressobj(GZIP_WINDOW)

    return _with_parts(decompressor, GZIP[:1], "gzip", packing)


def _with_parts(
    decompressor: Callable[[], Any], magic: bytes, kind: str, packing: Packing
) -> Translate:
    """Return what unpacks a file of several parts, each as `decompressor` reads it."""
    part = decompressor()

    def unpack(chunk: bytes, end: bool) -> bytes:
        nonlocal part
        parts = []
        while chunk:
            if part.eof:  # another part may follow, or zeros that fill up a block
                chunk = chunk.lstrip(b"\0")
                if not chunk.startswith(magic[:1]):
                    break
                part = decompressor()
            parts.append(part.decompress(chunk))
            chunk = part.unused_data
        if end:
            packing.is_proven = part.eof
            if not part.eof:
                packing.ended_early = f"the {kind} ends before its trailer"
        return b"".join(parts)

    return unpack


def read_full(stream: BinaryIO, size: int) -> bytes:
    """Read so many bytes, fewer only at the end."""
    parts = []
    while size > 0 and (part := stream.read(size)):
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def as_it_is(chunk: bytes, _end: bool) -> bytes:
    """Return a chunk as it is."""
    return chunk


class Translated(io.RawIOBase):
    """A stream whose chunks are translated, behind a head that was read before."""

    def __init__(self, stream: BinaryIO, head: bytes, translate: Translate) -> None:
        super().__init__()
        self._stream, self._head, self._translate = stream, head, translate
        self._ready = memoryview(b"")
        self._is_at_end = False

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Read as much as is ready."""
        while not self._ready and not self._is_at_end:
            chunk, self._head = (self._head, b"") if self._head else (self._next(), b"")
            self._is_at_end = not chunk
            self._ready = memoryview(self._translate(chunk, self._is_at_end))
        size = min(len(buffer), len(self._ready))
        buffer[:size], self._ready = self._ready[:size], self._ready[size:]
        return size

    def _next(self) -> bytes:
        return self._stream.read(CHUNK)

    def close(self) -> None:
        """Close the stream too."""
        self._stream.close()
        super().close()
