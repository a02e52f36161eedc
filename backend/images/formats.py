"""What kind of file some bytes are, recognised by the bytes alone: a media type, or a name."""

from __future__ import annotations

import io
import struct
from typing import Final

from PIL import TiffImagePlugin

AVIF_BRANDS: Final = {b"avif", b"avis"}
HEIF_BRANDS: Final = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"}

TIFF_SIGNATURES: Final = (b"II*\0", b"MM\0*", b"II\0*", b"MM*\0", b"II+\0", b"MM\0+")
"""Those of TIFF, TIFF with its 42 in the other byte order, and BigTIFF."""

SIGNATURES: Final = (  # (offset, bytes there, media type)
    (0, b"\xff\xd8\xff", "image/jpeg"),
    (0, b"\x89PNG", "image/png"),
    (0, b"GIF8", "image/gif"),
    (0, b"BM", "image/bmp"),
    *((0, signature, "image/tiff") for signature in TIFF_SIGNATURES),
    (8, b"WEBP", "image/webp"),
)

LFS_POINTER: Final = "a pointer of Git LFS in place of the image"
CHANGED: Final = "an image that a program has changed as if it were text"
BASE64: Final = "an image in Base64, written as text"
BLANK_LINES: Final = ", such as blank lines"
UNSUPPORTED: Final = (  # (offset, bytes there, what it is called)
    (0, b"\xff\x0a", "JPEG XL"),
    (0, b"\0\0\0\x0cJXL ", "JPEG XL"),
    (0, b"\0\0\0\x0cjP  ", "JPEG 2000"),
    (0, b"\xff\x4f\xff\x51", "JPEG 2000"),
    (0, b"II\xbc", "JPEG XR"),
    (0, b"%PDF", "PDF"),
    (0, b"%!PS", "PostScript"),
    (0, b"8BPS", "a Photoshop document"),
    (0, b"\0\0\1\0", "an icon"),
    (0, b"\x76\x2f\x31\x01", "OpenEXR"),
    (0, b"PK\x03\x04", "a zip archive"),
    (0, b"\x1f\x8b", "gzip"),
    (0, b"\x1aE\xdf\xa3", "a video"),
    (0, b"{", "JSON"),
    (0, b"DDS ", "a DirectDraw surface (DDS)"),
    (0, b"P5\n", "a Netpbm image"),
    (0, b"P6\n", "a Netpbm image"),
    (0, b"qoif", "QOI"),
    (0, b"Rar!\x1a\x07", "a RAR archive"),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive"),
    (0, b"RIFF", "a sound or a video (RIFF)"),
    (0, b"version https://git-lfs", LFS_POINTER),
    *((0, text, BASE64) for text in (b"data:image/", b"/9j/", b"iVBORw0KGgo", b"R0lG")),
    *((0, changed, CHANGED) for changed in (b"\xef\xbf\xbd", b"\xc3\xbf\xc3\x98\xc3\xbf")),
    (0, b"\xc2\x89PNG", CHANGED),
)
PAGES: Final = ("HTML", "XML", "JSON", "a text")
"""What a server sends, or a program stores, where there is an error in place of an image."""
ARCHIVES: Final = ("gzip", "a zip archive", "a RAR archive", "a 7-Zip archive")
SURELY_CHANGED: Final = 16
"""Line feeds of which none is alone."""
HEAD: Final = 1024
"""Bytes within which a text file shows what it is."""

COLOURS: Final = {  # TIFF's PhotometricInterpretation
    0: "grey, white as zero",
    1: "grey",
    2: "RGB",
    3: "a palette",
    5: "CMYK",
    6: "YCbCr",
    8: "Lab",
    32803: "a camera's raw colours",
    34892: "a camera's raw colours",
}
SIGNED, FLOATING_POINT = 2, 3  # TIFF's SampleFormat
CHANNELS: Final = {0: 1, 1: 1, 2: 3, 3: 1, 5: 4, 6: 3, 8: 3}
"""TIFF's PhotometricInterpretation -> how many channels it has; further ones are transparency."""
COMPRESSIONS: Final = {  # those of TIFF that Pillow does not know, and what they are called
    34712: "JPEG 2000",
    33003: "JPEG 2000",
    33005: "JPEG 2000",
    34892: "lossy DNG",
    34933: "PNG",
    34934: "JPEG XR",
    22610: "JPEG XR",
    34661: "JBIG",
    34887: "LERC",
    50001: "WebP",
    50002: "JPEG XL",
    52546: "JPEG XL",
}


def media_type(data: bytes) -> str | None:
    """Return the media type of an image that `decode` may read; None for any other file."""
    for offset, signature, kind in SIGNATURES:
        if data.startswith(signature, offset):
            return kind
    brands = _brands(data)
    if brands & AVIF_BRANDS:
        return "image/avif"
    return "image/heic" if brands & HEIF_BRANDS else None


def describe_unsupported(data: bytes) -> str | None:
    """Return what a file is that no decoder here reads, such as "SVG"; None if that is unknown."""
    for offset, signature, name in UNSUPPORTED:
        if data.startswith(signature, offset):
            return name
    brands = _brands(data)
    if brands:
        return "HEIF of a kind that is not read" if brands & {b"mif1", b"msf1"} else "a video"
    bare = data[:HEAD].removeprefix(b"\xef\xbb\xbf").lstrip()
    text = bare.lower()
    if not text.startswith(b"<"):
        return _describe_rest(data, bare)
    if b"<svg" in text:
        return "SVG"
    return "HTML" if b"<html" in text or b"<!doctype html" in text else "XML"


def name_of(kind: str | None) -> str:
    """Return what an image of a media type is called: `image/heic` is HEIC."""
    return "" if kind is None else f"{kind.rpartition('/')[2].upper()} "


def cut_off(data: bytes, kind: str | None) -> str | None:
    """Say how much of a WebP is missing by its own length; None if nothing is, or for others."""
    if kind != "image/webp":
        return None
    whole = int.from_bytes(data[4:8], "little") + 8
    return f"{len(data):,} of {whole:,} bytes are there" if len(data) < whole else None


def is_changed_as_text(data: bytes, kind: str | None) -> bool:
    """Tell whether each line feed of a JPEG or PNG has become two bytes, as copying as text does.

    In an image that is as it was, one in 256 follows a carriage return.
    """
    if kind == "image/png":
        return data.startswith(b"\x89PNG\r\r\n")
    first = data.find(b"\n") if kind == "image/jpeg" else 0
    if first < 1 or data[first - 1 : first] != b"\r":
        return False
    return data.count(b"\n") == data.count(b"\r\n") >= SURELY_CHANGED


def advice(name: str | None) -> str:
    """Return what to do about a file that is no image, by what it is."""
    if name in PAGES:
        return "; an error or a page stands in its place, so look at its address or file"
    if name == LFS_POINTER:
        return "; fetch the image itself: git lfs pull"
    if name and name.endswith(BLANK_LINES):
        return "; remove them"
    if name == CHANGED:
        return "; copy it again as a binary file"
    if name == BASE64:
        return "; decode it"
    return "; unpack it" if name in ARCHIVES else "; save it as JPEG, PNG or WebP"


def _describe_rest(data: bytes, bare: bytes) -> str | None:
    if not data.strip(b"\0"):
        return "nothing but zeros"
    if kind := media_type(bare):
        before = len(data[:HEAD]) - len(bare)
        return f"a {name_of(kind)}image behind {before} other bytes{BLANK_LINES}"
    is_text = bare.isascii() and all(byte >= 32 or byte in b"\t\r\n" for byte in bare)
    return "a text" if is_text and bare else None


def describe_tiff(data: bytes) -> str | None:
    """Return what about a TIFF's first image is not supported; None if its header is unreadable."""
    try:
        tags = _tiff_tags(data)
        compression = int(tags.get(TiffImagePlugin.COMPRESSION, 1))
        bits = max(tags.get(TiffImagePlugin.BITSPERSAMPLE, (1,)))
        kinds = tags.get(TiffImagePlugin.SAMPLEFORMAT, (1,))
        colours = int(tags[TiffImagePlugin.PHOTOMETRIC_INTERPRETATION])
        further = int(tags.get(TiffImagePlugin.SAMPLESPERPIXEL, 1)) - CHANNELS.get(colours, 99)
        width, length = tags[TiffImagePlugin.IMAGEWIDTH], tags[TiffImagePlugin.IMAGELENGTH]
    except (OSError, SyntaxError, ValueError, TypeError, LookupError, struct.error):
        return None
    if not (isinstance(width, int) and isinstance(length, int)):
        return None
    if compression not in TiffImagePlugin.COMPRESSION_INFO:
        return f"compressed by {COMPRESSIONS.get(compression, f'method {compression}')}"
    if FLOATING_POINT in kinds:
        return f"with floating-point numbers of {bits} bits"
    if SIGNED in kinds:
        return f"with signed numbers of {bits} bits"
    more = f" and a further channel ({further})" if further > 0 else ""
    return (
        f"with {bits} bits a channel and {COLOURS.get(colours, f'colours of kind {colours}')}{more}"
    )


def _tiff_tags(data: bytes) -> TiffImagePlugin.ImageFileDirectory_v2:
    file = io.BytesIO(data)
    header = file.read(16 if data[2:4] in (b"+\0", b"\0+") else 8)
    tags = TiffImagePlugin.ImageFileDirectory_v2(header)
    file.seek(tags.next)
    tags.load(file)
    return tags


def _brands(data: bytes) -> set[bytes]:
    """Return the brands that an ISO media file (AVIF, HEIC, MP4 …) says it conforms to."""
    if data[4:8] != b"ftyp":
        return set()
    size = min(int.from_bytes(data[:4], "big"), HEAD)
    return {data[8:12], *(data[at : at + 4] for at in range(16, size - 3, 4))}
