"""Images that a cell holds itself: as bytes, or as text in Base64 or in an address `data:`."""

from __future__ import annotations

import base64
import re
import zlib
from typing import Final
from urllib.parse import unquote_to_bytes

from backend.catalogue.sources.feed import ImageFile
from backend.errors import ForbiddenImage, ImageTooLarge

DATA: Final = "data:"
_BEGINNINGS: Final = ("/9j/", "iVBORw0KGgo", "R0lGOD", "UklGR")  # JPEG, PNG, GIF, WebP in Base64
_BASE64: Final = re.compile(r"[A-Za-z0-9+/]{80,}+={0,2}")  # a shorter text may be a path
_BETWEEN: Final = re.compile(r"(?<![\s,;|])[\s,;|]++(?=data:|https?://)", re.IGNORECASE)
"""It begins only where such signs begin, so many of them take linear time."""
_SPACE: Final = re.compile(r"\s+")
_OF_ADDRESSES: Final = str.maketrans("-_", "+/")


def held_image(data: bytes) -> ImageFile:
    """Return an image that lies in memory. Its checksum replaces the time of a file."""

    def read(most: int) -> bytes:
        if len(data) > most:
            raise ImageTooLarge(f"the image has {len(data):,} bytes, more than {most:,}")
        return data

    return ImageFile(uri=None, size=len(data), mtime_ns=zlib.crc32(data), read=read, held=len(data))


def is_image_as_text(text: str) -> bool:
    """Tell whether a text is an image itself, and not the name of one."""
    return is_data_address(text) or _is_base64(text)


def _is_base64(text: str) -> bool:
    """Tell whether a text, without its blanks and line ends, is an image in Base64."""
    return text.startswith(_BEGINNINGS) and bool(_BASE64.fullmatch(_SPACE.sub("", text)))


def is_data_address(text: str) -> bool:
    """Tell whether a text begins as an address of the scheme `data`."""
    return text[:5].lower() == DATA


def split_data(cell: str) -> list[str]:
    """Return the images in a cell that begins with an address `data:`; others may follow."""
    return _BETWEEN.split(cell)


def image_in_text(text: str) -> ImageFile:
    """Return the image that a text is. Raises ForbiddenImage if it cannot be decoded."""
    head, comma, rest = text.partition(",") if is_data_address(text) else (";base64", ",", text)
    if not comma:
        raise ForbiddenImage(f"{text[:40]!r} is an address data: without its comma and its data")
    data = unquote_to_bytes(rest)
    if head.lower().rstrip().endswith(";base64"):
        data = _decoded(data.decode("ascii", "replace"))
    if not data:
        raise ForbiddenImage(f"the image in the cell ({head[:40]}) is empty")
    return held_image(data)


def _decoded(text: str) -> bytes:
    """Decode Base64, also without the signs at its end. Raises ForbiddenImage."""
    bare = _SPACE.sub("", text).rstrip("=").translate(_OF_ADDRESSES)
    try:
        return base64.b64decode(bare + "=" * (-len(bare) % 4), validate=True)
    except ValueError as error:
        raise ForbiddenImage(
            f"the image in the cell is damaged or cut off: its Base64 is wrong ({error})"
        ) from None
