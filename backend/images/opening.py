"""Bytes -> an opened image whose header is sound, within limits, and not yet decoded."""

from __future__ import annotations

import io
import struct
import zlib
from dataclasses import dataclass
from typing import Final, TypeAlias

from PIL import (
    AvifImagePlugin,
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    UnidentifiedImageError,
    WebPImagePlugin,
)

from backend.errors import CorruptImage, NotAnImage
from backend.images import formats, heif, jpeg, png
from backend.images.limits import ImageLimits
from backend.images.structure import check_structure

Size: TypeAlias = tuple[int, int]
"""(height, width) in pixels, as arrays have it; PIL's own `size` is the other way round."""

# `ImageLimits` are checked first. Pillow's own guess would only add a warning at 89 megapixels
# and, at 179, an error that is no OSError.
Image.MAX_IMAGE_PIXELS = None

# Pillow's own reader of uncompressed TIFFs takes planes of 16 bits for planes of 8 bits.
TiffImagePlugin.READ_LIBTIFF = True

# It knows 16-bit grey with white as zero only as Intel writes it. `decode` inverts both.
TiffImagePlugin.OPEN_INFO[TiffImagePlugin.MM, 0, (1,), 1, (16,), ()] = ("I;16B", "I;16B")

PLANAR: Final = {"1", "L", "P", "RGB", "RGBA", "RGBX", "CMYK"}
"""The modes that are read right where a TIFF has a plane for each channel."""

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

BROKEN: Final = (  # what Pillow's parsers are known to raise on damaged files
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

REDUCTIONS: Final = (8, 4, 2, 1)
"""How many times smaller a JPEG's sides can be decoded."""

BUFFERED: Final = 3
"""How many times `max_pixels` a JPEG may have whose coefficients are all in memory at once."""


@dataclass(frozen=True)
class Opened:
    """An image whose header has been read, and how many times smaller its sides are decoded."""

    image: Image.Image
    reduction: int = 1

    def load(self) -> Image.Image:
        """Decode the pixels. Raises one of BROKEN, or MemoryError."""
        if self.reduction > 1:
            width, height = self.image.size
            self.image.draft(None, (width // self.reduction, height // self.reduction))
        self.image.load()
        return self.image


def open_image(data: bytes, *, limits: ImageLimits, target: Size | None) -> Opened:
    """Open an image that will be shrunk to `target`, (height, width), if that is given.

    Raises NotAnImage, CorruptImage, ImageTooLarge or ImageTooSmall.
    """
    if not data:
        raise NotAnImage("the file is empty")
    limits.check_bytes(len(data))
    kind = formats.media_type(data)
    if formats.is_changed_as_text(data, kind):
        raise CorruptImage(f"the file is {formats.CHANGED}{formats.advice(formats.CHANGED)}")
    check_structure(data, kind)
    if kind == heif.MEDIA_TYPE:
        limits.check_size(*heif.read_size(data))
    try:
        image = _open(data, kind)
    except UnidentifiedImageError:
        raise _unidentified(data, kind) from None
    except BROKEN as error:
        name = formats.name_of(kind)
        if missing := formats.cut_off(data, kind):
            raise CorruptImage(f"the {name}image is cut off: {missing}") from None
        raise CorruptImage(f"the header of the {name}image is damaged: {error}") from None
    if isinstance(image, JpegImagePlugin.JpegImageFile):
        frame = jpeg.read_frame(data)
        if frame and frame.unsupported:
            raise NotAnImage(f"{frame.unsupported} is not supported")
        return Opened(image, _reduction(image.size, frame, limits, target))
    limits.check_size(*image.size)
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        _check_planes(image)
    return Opened(image)


def _open(data: bytes, kind: str | None) -> Image.Image:
    if kind == heif.MEDIA_TYPE:
        return heif.open_heif(data)
    if kind == "image/png":
        data = png.clean(data)
    return Image.open(io.BytesIO(data), formats=FORMATS)


def _check_planes(image: TiffImagePlugin.TiffImageFile) -> None:
    """Raise NotAnImage for a TIFF whose planes would be mixed up."""
    is_planar = image.tag_v2.get(TiffImagePlugin.PLANAR_CONFIGURATION, 1) == 2
    samples = image.tag_v2.get(TiffImagePlugin.SAMPLESPERPIXEL, 1)
    if is_planar and samples > 1 and image.mode not in PLANAR:
        raise NotAnImage(f"a TIFF with a plane for each channel of {image.mode} is not supported")


def _reduction(
    size: tuple[int, int], frame: jpeg.Frame | None, limits: ImageLimits, target: Size | None
) -> int:
    """Return the scale to decode a JPEG at: the smallest that leaves twice the target.

    A smaller one is taken where the image has too many pixels otherwise. Raises ImageTooLarge or
    ImageTooSmall.
    """
    width, height = size
    reduction = 1
    if target and frame and not frame.is_lossless:
        possible = min(width, height) // (2 * max(target))
        reduction = next((scale for scale in REDUCTIONS if scale <= possible), 1)
        while reduction < REDUCTIONS[0] and width * height > limits.max_pixels * reduction**2:
            reduction *= 2
    decoded = width * height // reduction**2
    if frame is None or frame.is_buffered:
        decoded = max(decoded, width * height // BUFFERED)
    limits.check_size(width, height, decoded=decoded)
    return reduction


def _unidentified(data: bytes, kind: str | None) -> CorruptImage | NotAnImage:
    """Return the error for a file that Pillow does not open: why not, as exactly as is known."""
    reason = None
    if kind == "image/tiff":
        reason = formats.describe_tiff(data)
        reason = reason and f"a TIFF {reason}"
    elif kind == "image/jpeg":
        frame = jpeg.read_frame(data)
        reason = frame.unsupported if frame else None
    if reason:
        return NotAnImage(f"{reason} is not supported")
    if kind not in (None, "image/bmp"):  # any text may begin with BM
        name = formats.name_of(kind)
        return CorruptImage(f"the header of the {name}image is damaged or cut off; export it again")
    found = formats.describe_unsupported(data)
    described = f"the file is {found}, which is" if found else "the file is"
    readable = ", ".join((*FORMATS, *(["HEIC"] if heif.is_available() else [])))
    return NotAnImage(f"{described} not one of {readable}{formats.advice(found)}")
