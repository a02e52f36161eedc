"""What a JPEG's markers say, before a decoder sees it; and how to end one that has no end."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain, cycle
from random import Random
from typing import Final

from PIL import Image, ImageChops

END: Final = b"\xff\xd9"
LOSSLESS: Final = 0xC3
JPEG_LS: Final = 0xF7
PROGRESSIVE: Final = {0xC2, 0xCA}
DECODABLE: Final = {0xC0, 0xC1, 0xC2, 0xC3, 0xC9, 0xCA}
FRAMES: Final = {*range(0xC0, 0xD0), JPEG_LS} - {0xC4, 0xC8, 0xCC}
SCAN: Final = 0xDA
RESTART_INTERVAL: Final = 0xDD
RESTART_AFTER: Final = 16
COEFFICIENTS: Final = 64

MOST_LOST: Final = 0.005
"""The share of the pixels that may be missing at the end of a JPEG."""

_MARKER: Final = re.compile(rb"\xff+([^\x00\xd0-\xd7\xff])")


@dataclass(frozen=True)
class Frame:
    """A JPEG's frame header (SOF), and whether its first scan holds all components."""

    marker: int
    bits: int
    components: int
    is_interleaved: bool

    @property
    def is_lossless(self) -> bool:
        """Whether it cannot be decoded at a reduced scale."""
        return self.marker == LOSSLESS

    @property
    def is_buffered(self) -> bool:
        """Whether all coefficients are in memory at once: those of a pixel lie in several scans."""
        return self.marker in PROGRESSIVE or not self.is_interleaved

    @property
    def unsupported(self) -> str | None:
        """What no decoder here reads about it, None if it can be read."""
        if self.marker == JPEG_LS:
            return "JPEG-LS"
        if self.marker not in DECODABLE:
            return f"a JPEG of an uncommon kind (SOF{self.marker - 0xC0})"
        return f"a JPEG of {self.bits} bits a channel" if self.bits != 8 else None


def read_frame(data: bytes) -> Frame | None:
    """Return the frame of a JPEG; None if the file ends before its first scan."""
    header = b""
    marker = 0
    for kind, body in _segments(data):
        if kind in FRAMES and len(body) >= 6:
            marker, header = kind, body
        elif kind == SCAN and header and body:
            return Frame(marker, header[0], header[5], is_interleaved=body[0] >= header[5])
    return None


def has_all_scans(data: bytes) -> bool:
    """Tell whether there are scans for all bits of all coefficients of all components."""
    missing: dict[int, set[int]] = {}  # component -> coefficients of which some bits are missing
    progressive = False
    for kind, body in _segments(data):
        if kind in FRAMES and not missing:
            progressive = kind in PROGRESSIVE
            missing = {component: set(range(COEFFICIENTS)) for component in body[6::3]}
        elif kind == SCAN and len(body) >= 4:
            completed = _completed(body, progressive=progressive)
            for component in body[1:-3:2]:
                missing.get(component, set()).difference_update(completed)
    return bool(missing) and not any(missing.values())


def _completed(scan: bytes, *, progressive: bool) -> range:
    """Return the coefficients of which a scan, by its header, gives the last bits."""
    first, last, bits = scan[-3:] if progressive else (0, COEFFICIENTS - 1, 0)
    return range(first, last + 1) if bits & 0x0F == 0 else range(0)


def markers(data: bytes) -> Iterator[int]:
    """Yield the marker of each segment, until the end of the image."""
    for marker, _ in _segments(data):
        yield marker


def _segments(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield (marker, body) of each segment; what lies between them, as scans do, is skipped."""
    at = 2
    while found := _MARKER.search(data, at):
        marker, at = found[1][0], found.end()
        if marker == END[1]:
            return
        length = int.from_bytes(data[at : at + 2], "big")
        yield marker, data[at + 2 : at + length]
        at += length


def decode_unended(data: bytes, decode: Callable[[bytes], Image.Image]) -> Image.Image | None:
    """Decode a JPEG that has no end marker; None if more of it is missing than the last pixels.

    A decoder fills in what is missing and does not say how much that was. So the file is ended in
    several ways: by the marker alone, and by bytes of no meaning before it. Pixels that depend on
    those bytes were not in the file.
    """
    if not has_all_scans(data):
        return None
    body = data[:-1] if data.endswith(b"\xff") else data
    image = decode(body + END)
    for filling in _fillings((1 << 16) + len(body) // 50, restarts=_has_restarts(data)):
        if _share_that_differs(image, decode(body + filling + END)) > MOST_LOST:
            return None
    return image


def _has_restarts(data: bytes) -> bool:
    return any(kind == RESTART_INTERVAL and any(body) for kind, body in _segments(data))


def _fillings(length: int, *, restarts: bool) -> list[bytes]:
    """Return bytes of no meaning. With `restarts`, also such with restart markers.

    Without markers they fill what is left until the next one is due, with them what comes then.
    """
    noise = bytes(Random(0).choices(range(0xFF), k=1 << 12))
    found = [pattern * (length // len(pattern) + 1) for pattern in (b"\0", b"\x55", noise)]
    if restarts:
        parts = (noise[:RESTART_AFTER] for _ in range(length // RESTART_AFTER))
        markers = cycle(bytes([0xFF, 0xD0 + n]) for n in range(8))
        found.append(b"".join(chain.from_iterable(zip(parts, markers, strict=False))))
    return found


def _share_that_differs(one: Image.Image, other: Image.Image) -> float:
    bands = ImageChops.difference(one, other).split()
    differs = bands[0]
    for band in bands[1:]:
        differs = ImageChops.lighter(differs, band)
    same = differs.histogram()[0]
    return 1 - same / (one.width * one.height)
