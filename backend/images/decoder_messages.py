"""What is said on the pipe of a decoder process, from our side: requests, and their answers.

A request is one image, or a group of files: the words around an image take as long as reading a
thumbnail.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final, TypeAlias

from PIL import Image

from backend.errors import ImageError, MissingImage
from backend.images.box import Box
from backend.images.decode import Size

ImageFile: TypeAlias = bytes | Path
"""The bytes of an image file, or the path from which a decoder process reads it."""


@dataclass(frozen=True)
class Region:
    """A part of an image, and the (height, width) or the longest side that it is decoded to."""

    box: Box
    size: Size | int


Target: TypeAlias = Size | int | Region
"""The (height, width) to decode to; or the longest side allowed, for an image's own shape."""

_ERRORS: Final[Mapping[str, type[ImageError]]] = {
    kind.__name__: kind for kind in (*ImageError.__subclasses__(), MissingImage)
}


@dataclass(frozen=True, kw_only=True)
class Decoded:
    """An upright RGB image of the target's size, and the sha256 (hex) of the file's bytes."""

    pixels: bytes | memoryview  # red, green and blue of each pixel, row by row
    size: Size
    digest: str

    @classmethod
    def of(cls, image: Image.Image, digest: str) -> Decoded:
        """Return an image that was decoded here."""
        return cls(pixels=image.tobytes(), size=(image.height, image.width), digest=digest)

    @property
    def image(self) -> Image.Image:
        """The image as Pillow has it; made anew each time."""
        return Image.frombytes("RGB", self.size[::-1], self.pixels)


def ask(pipe: Connection, source: ImageFile, target: Target) -> None:
    """Ask for one image."""
    header: dict[str, Any] = {"target": target}
    if isinstance(target, Region):
        header = {"target": target.size, "box": (*target.box.numbers, target.box.around)}
    if isinstance(source, Path):
        pipe.send_bytes(json.dumps({**header, "path": str(source)}).encode())
    else:
        pipe.send_bytes(json.dumps(header).encode())
        pipe.send_bytes(source)


def read_answer(pipe: Connection, target: Target) -> Decoded | ImageError:
    """Read the answer to `ask`. Raises EOFError, OSError, ValueError or LookupError."""
    header = json.loads(pipe.recv_bytes())
    if "error" in header:
        return _error_of(header)
    size = target.size if isinstance(target, Region) else target
    height, width = header["size"] if isinstance(size, int) else size
    pixels = pipe.recv_bytes()
    if len(pixels) != 3 * height * width:
        raise ValueError("not the pixels of this size")
    return Decoded(pixels=pixels, size=(height, width), digest=header["digest"])


def ask_for_group(pipe: Connection, paths: Sequence[Path], target: Size) -> None:
    """Ask for a group of files, all of the same size."""
    request = {"target": target, "paths": [str(path) for path in paths]}
    pipe.send_bytes(json.dumps(request).encode())


def read_group(pipe: Connection, target: Size, *, count: int) -> list[Decoded | ImageError]:
    """Read the answer to `ask_for_group`; raises what `read_answer` does."""
    headers = json.loads(pipe.recv_bytes())
    if len(headers) != count:
        raise ValueError("not the answers to this request")
    each = 3 * target[0] * target[1]
    pixels = _read(pipe, each * sum("error" not in header for header in headers))
    found: list[Decoded | ImageError] = []
    for header in headers:
        if "error" in header:
            found.append(_error_of(header))
        else:
            found.append(Decoded(pixels=pixels[:each], size=target, digest=header["digest"]))
            pixels = pixels[each:]
    return found


def _error_of(header: Mapping[str, Any]) -> ImageError:
    return _ERRORS[header["error"]](header["message"])


def _read(pipe: Connection, count: int) -> memoryview:
    """Read bytes that no length stands before, straight to where they stay."""
    whole = memoryview(bytearray(count))
    rest = whole
    while rest:
        got = os.readv(pipe.fileno(), [rest])
        if not got:
            raise EOFError
        rest = rest[got:]
    return whole
