"""Bytes -> RGB image, within limits that are checked before a pixel is decoded.

Images come from shops' feeds and shoppers' uploads: nothing about them is trusted. An image can
still crash or stall its decoder, so untrusted ones are decoded by `backend.images.decoder_pool`.
"""

from __future__ import annotations

import io
import struct
import zlib
from dataclasses import dataclass
from typing import Final, TypeAlias

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
    ImageTooLarge,
    NotAnImage,
)
from backend.images.limits import ImageLimits

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

_UPRIGHT: Final = {  # EXIF orientation -> how to turn the image
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
class ImageInfo:
    """What a header says. Width and height are those of the upright image."""

    format: str  # one of FORMATS
    width: int
    height: int


def inspect(data: bytes, *, limits: ImageLimits) -> ImageInfo:
    """Read only the header. Raises what `decode` raises, as far as the header shows it."""
    with _open(data, limits) as image:
        width, height = image.size
        if image.format != "TIFF" and _orientation(image) in _SIDEWAYS:  # Pillow turns TIFFs
            width, height = height, width
        return ImageInfo(format=str(image.format), width=width, height=height)


def decode(data: bytes, *, limits: ImageLimits, target: Size | None = None) -> Image.Image:
    """Decode to an upright RGB image, of exactly `target` (height, width) pixels if that is given.

    Transparent images are put on white, 16-bit grey is scaled, an animation gives its first frame.
    A JPEG is decoded at a reduced scale where that still leaves twice the target. Raises
    NotAnImage, CorruptImage, ImageTooLarge or ImageTooSmall. Damage inside a JPEG's scan that
    leaves its length intact cannot be detected.
    """
    with _open(data, limits) as image:
        if target:
            image.draft(None, (2 * max(target), 2 * max(target)))
        try:
            image.load()
            upright = _turn_upright(image)
            rgb = _to_rgb(upright)
        except MemoryError:
            raise ImageTooLarge("the image needs more memory than a decoder has") from None
        except _BROKEN as error:
            raise CorruptImage(f"the {image.format} image is damaged: {error}") from None
    return fit(rgb, target) if target else rgb


def fit(image: Image.Image, target: Size) -> Image.Image:
    """Stretch to `target` (height, width): bicubic, as every embedder does."""
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
    except _BROKEN:  # an image with damaged metadata is still usable
        return 1


def _turn_upright(image: Image.Image) -> Image.Image:
    """Turn as EXIF says. Only after `load`, which turns a TIFF and reads a PNG's late EXIF."""
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
