"""Bytes or a path -> RGB image, within limits that are checked before a pixel is decoded.

Images come from shops' feeds and shoppers' uploads: nothing about them is trusted. Addresses on
the network are the matter of `backend.images.fetch`, processes that may die of an image that of
`backend.images.decoder_pool`.
"""

from __future__ import annotations

import io
import os
import stat
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias
from urllib.parse import unquote, urlsplit

from PIL import (
    AvifImagePlugin,
    BmpImagePlugin,
    ExifTags,
    GifImagePlugin,
    Image,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    UnidentifiedImageError,
    WebPImagePlugin,
)

from backend.errors import (
    CorruptImage,
    ForbiddenImage,
    ImageTooLarge,
    ImageTooSmall,
    ImageUnavailable,
    NoImage,
    NotAnImage,
)

Size: TypeAlias = tuple[int, int]
"""(height, width) in pixels, as arrays have it; PIL's own `size` is the other way round."""

# `ImageLimits` are checked first. Pillow's own guess would only add a warning at 89 megapixels
# and, at 179, an error that is no OSError.
Image.MAX_IMAGE_PIXELS = None

FORMATS: Final = tuple(  # naming the plugins keeps Pillow from importing its other forty
    str(plugin.format)
    for plugin in (
        JpegImagePlugin.JpegImageFile,
        PngImagePlugin.PngImageFile,
        WebPImagePlugin.WebPImageFile,
        GifImagePlugin.GifImageFile,
        BmpImagePlugin.BmpImageFile,
        TiffImagePlugin.TiffImageFile,
        AvifImagePlugin.AvifImageFile,
    )
)

_UPRIGHT: Final = {  # EXIF orientation -> how to turn the picture
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_SIDEWAYS: Final = {5, 6, 7, 8}

_BROKEN: Final = (  # what Pillow's parsers are known to raise on damaged files
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    LookupError,
    TypeError,
    ArithmeticError,
    RuntimeError,
    struct.error,
    zlib.error,
)


@dataclass(frozen=True, kw_only=True)
class ImageLimits:
    """What an image may measure: bytes of its file, pixels in all, pixels of a side."""

    max_bytes: int = 20_000_000
    max_pixels: int = 50_000_000
    max_side: int = 20_000
    min_side: int = 8
    max_aspect: float = 20  # longer side / shorter side

    def check_bytes(self, count: int) -> None:
        """Raise ImageTooLarge for a file of more bytes than allowed."""
        if count > self.max_bytes:
            raise ImageTooLarge(f"the file has {count:,} bytes, more than {self.max_bytes:,}")

    def check_size(self, width: int, height: int) -> None:
        """Raise ImageTooLarge or ImageTooSmall unless a picture of this size may be decoded."""
        measured = f"the image is {width} x {height} pixels"
        if max(width, height) > self.max_side:
            raise ImageTooLarge(f"{measured}, with a side longer than {self.max_side:,}")
        if width * height > self.max_pixels:
            raise ImageTooLarge(f"{measured}, more than {self.max_pixels:,} in all")
        if min(width, height) < self.min_side:
            raise ImageTooSmall(f"{measured}, with a side shorter than {self.min_side}")
        if max(width, height) > self.max_aspect * min(width, height):
            raise ImageTooSmall(f"{measured}, too narrow: more than {self.max_aspect:g} to 1")


@dataclass(frozen=True, kw_only=True)
class ImageInfo:
    """What a header says. Width and height are those of the upright picture."""

    format: str  # one of FORMATS
    width: int
    height: int


def inspect(data: bytes, *, limits: ImageLimits) -> ImageInfo:
    """Read the header alone. Raises what `decode` raises, as far as a header shows it."""
    with _open(data, limits) as image:
        width, height = image.size
        if image.format != "TIFF" and _orientation(image) in _SIDEWAYS:  # a TIFF has done so
            width, height = height, width
        return ImageInfo(format=str(image.format), width=width, height=height)


def decode(data: bytes, *, limits: ImageLimits, target: Size | None = None) -> Image.Image:
    """Decode to an upright RGB image, of exactly `target` (height, width) pixels if that is given.

    Alpha is laid on white, 16-bit grey is scaled, an animation gives its first frame. A JPEG is
    decoded at a reduced scale where that still leaves twice the target. Raises NotAnImage,
    CorruptImage, ImageTooLarge or ImageTooSmall. Damage inside a JPEG's scan that leaves its
    length intact is not to be told from a picture.
    """
    with _open(data, limits) as image:
        if target:
            image.draft(None, (2 * max(target), 2 * max(target)))
        try:
            image.load()
            upright = _turn_upright(image)
            picture = _to_rgb(upright)
        except MemoryError:
            raise ImageTooLarge("the image needs more memory than a decoder has") from None
        except _BROKEN as error:
            raise CorruptImage(f"the {image.format} image is damaged: {error}") from None
    return fit(picture, target) if target else picture


def fit(image: Image.Image, target: Size) -> Image.Image:
    """Stretch to `target` (height, width): bicubic, the one filter that every embedder uses too."""
    height, width = target
    if image.size == (width, height):
        return image
    return image.resize((width, height), Image.Resampling.BICUBIC)


def _open(data: bytes, limits: ImageLimits) -> Image.Image:
    if not data:
        raise NotAnImage("the file is empty")
    limits.check_bytes(len(data))
    try:
        image = Image.open(io.BytesIO(data), formats=FORMATS)
    except UnidentifiedImageError:
        if _begins_like_an_image(data):
            raise CorruptImage("the image's header is damaged or cut off") from None
        raise NotAnImage(f"the file is not one of {', '.join(FORMATS)}") from None
    except _BROKEN as error:
        raise CorruptImage(f"the image's header is damaged: {error}") from None
    limits.check_size(*image.size)
    return image


def _begins_like_an_image(data: bytes) -> bool:
    signatures = (b"\xff\xd8\xff", b"\x89PNG", b"GIF8", b"II*\0", b"MM\0*")
    return data.startswith(signatures) or data[8:12] == b"WEBP" or data[4:12] == b"ftypavif"


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except _BROKEN:  # damaged metadata do not spoil the picture
        return 1


def _turn_upright(image: Image.Image) -> Image.Image:
    """Turn as EXIF says. Only after `load`: a TIFF turns itself then, a PNG may tell so late."""
    turn = _UPRIGHT.get(_orientation(image))
    return image if turn is None else image.transpose(turn)


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I;16"):  # `convert` alone would clip all above 255 to white
        image = image.convert("I").point(lambda value: value * (1 / 257) + 0.5).convert("L")
    if image.mode in ("I", "F"):
        raise NotAnImage("an image of 32 bits a channel is not supported")
    if not image.has_transparency_data:
        return image.convert("RGB")
    layer = image.convert("RGBA")
    paper = Image.new("RGB", image.size, "white")
    paper.paste(layer, mask=layer)
    return paper


def is_remote(uri: str) -> bool:
    """Tell whether an image's URI is an address on the network rather than a local path."""
    return "://" in uri and not uri.startswith("file://")


def local_path(uri: str, *, folder: Path | None = None) -> Path:
    """Return the path behind `file:///…` or a plain path; with a `folder`, one inside of it.

    Raises ForbiddenImage for another host's file, or a path that leaves the folder.
    """
    if uri.startswith("file://"):
        parts = urlsplit(uri)
        if parts.netloc not in ("", "localhost"):
            raise ForbiddenImage(f"a file on another host: {parts.netloc}")
        uri = unquote(parts.path)
    return inside(folder, uri) if folder else Path(uri)


def inside(folder: Path, relative: str | Path) -> Path:
    """Return the real path of a file in a folder.

    Raises ForbiddenImage for a path that leaves it, by `..`, by being absolute or by a symlink.
    """
    root = folder.resolve()
    try:
        path = (root / relative).resolve()
    except (ValueError, OSError) as error:  # a NUL byte; a loop of symlinks
        raise ForbiddenImage(f"not a usable path: {error}") from None
    if not path.is_relative_to(root):
        raise ForbiddenImage(f"the path {str(relative)!r} leaves the catalogue's folder")
    return path


def read_file(path: str | Path, *, limits: ImageLimits) -> bytes:
    """Read a regular file. Blocks only as long as the file system does.

    Raises NoImage, ForbiddenImage (no regular file, or no permission), ImageTooLarge, and
    ImageUnavailable when the file system failed.
    """
    try:
        with open(path, "rb", opener=_open_without_waiting) as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise ForbiddenImage(f"{path} is not a regular file")
            limits.check_bytes(status.st_size)
            data = file.read(limits.max_bytes + 1)
    except (FileNotFoundError, NotADirectoryError, ValueError):
        raise NoImage(f"there is no file {path}") from None
    except IsADirectoryError:
        raise ForbiddenImage(f"{path} is not a regular file") from None
    except PermissionError:
        raise ForbiddenImage(f"no permission to read {path}") from None
    except OSError as error:
        raise ImageUnavailable(f"{path} cannot be read: {error.strerror}") from None
    limits.check_bytes(len(data))
    return data


def _open_without_waiting(path: str, flags: int) -> int:
    """Open a FIFO too at once, so that it can be refused: a plain `open` waits for a writer."""
    return os.open(path, flags | os.O_NONBLOCK)
