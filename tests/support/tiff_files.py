"""TIFF files written here tag by tag, of kinds that Pillow reads but does not write."""

from __future__ import annotations

import struct
from collections.abc import Sequence

SHORT, LONG = 3, 4
CODES = {SHORT: "H", LONG: "I"}


def tiff(
    width: int,
    height: int,
    planes: Sequence[bytes],
    *,
    order: str = "II",
    bits: int = 8,
    colours: int = 2,
    samples: int = 1,
    compression: int = 1,
    sample_format: int = 1,
    extra: int | None = None,
) -> bytes:
    """A TIFF of one strip, or of one strip for each plane."""
    e = "<" if order == "II" else ">"
    tags: dict[int, tuple[int, list[int]]] = {
        256: (LONG, [width]),
        257: (LONG, [height]),
        258: (SHORT, [bits] * samples),
        259: (SHORT, [compression]),
        262: (SHORT, [colours]),
        273: (LONG, [0] * len(planes)),
        277: (SHORT, [samples]),
        278: (LONG, [height]),
        279: (LONG, [len(plane) for plane in planes]),
        284: (SHORT, [2 if len(planes) > 1 else 1]),
        **({} if extra is None else {338: (SHORT, [extra])}),
        339: (SHORT, [sample_format] * samples),
    }

    def pack(tag: int) -> bytes:
        code, values = tags[tag]
        return struct.pack(f"{e}{len(values)}{CODES[code]}", *values)

    outside = sum(len(pack(tag)) for tag in tags if len(pack(tag)) > 4)
    start = 8 + 2 + 12 * len(tags) + 4 + outside
    tags[273] = (LONG, [start + sum(map(len, planes[:n])) for n in range(len(planes))])
    entries, body = b"", b""
    for tag, (code, values) in tags.items():
        raw = pack(tag)
        entries += struct.pack(f"{e}HHI", tag, code, len(values))
        if len(raw) > 4:
            entries += struct.pack(f"{e}I", start - outside + len(body))
            body += raw
        else:
            entries += raw.ljust(4, b"\0")
    head = struct.pack(f"{e}2sHIH", order.encode(), 42, 8, len(tags))
    return head + entries + bytes(4) + body + b"".join(planes)
