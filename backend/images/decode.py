"""Bytes -> RGB image, within limits that are checked before a pixel is decoded.

Images come from shops' feeds and shoppers' uploads: nothing about them is trusted. An image can
still crash or stall its decoder, so untrusted ones are decoded by `backend.images.decoder_pool`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

from PIL import ExifTags, Image, ImageOps, JpegImagePlugin, TiffImagePlugin

from backend.errors import CorruptImage, ImageTooLarge, NotAnImage
from backend.images import colour, formats, heif, jpeg, png
from backend.images.box import Box
from backend.images.limits import ImageLimits
from backend.images.opening import BROKEN, FORMATS, Opened, Size, open_image

__all__ = [
    "FORMATS",
    "ImageInfo",
    "Size",
    "decode",
    "decode_region",
    "fit",
    "inspect",
    "mark_changed",
    "size_within",
]

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


@dataclass(frozen=True, kw_only=True)
class ImageInfo:
    """What a header says. Width and height are those of the upright image."""

    format: str  # one of FORMATS, or HEIF
    width: int
    height: int


def inspect(data: bytes, *, limits: ImageLimits) -> ImageInfo:
    """Read only the header. Raises what `decode` to a small target raises, as far as it shows."""
    limits.check_bytes(len(data))
    if formats.media_type(data) == heif.MEDIA_TYPE:  # libheif is for decoder processes only
        width, height = heif.read_size(data)
        limits.check_size(width, height)
        return ImageInfo(format="HEIF", width=width, height=height)
    image = open_image(data, limits=limits, target=(1, 1)).image
    width, height = image.size
    if image.format != "TIFF" and _orientation(image) in _SIDEWAYS:  # Pillow turns TIFFs
        width, height = height, width
    return ImageInfo(format=str(image.format), width=width, height=height)


def decode(data: bytes, *, limits: ImageLimits, target: Size | None = None) -> Image.Image:
    """Decode to an upright sRGB image, of exactly `target` (height, width) pixels if that is given.

    Colours are converted from an embedded profile, transparent images are put on white, 16-bit grey
    is scaled, an animation gives its first frame. A JPEG is decoded at a reduced scale where that
    still leaves twice the target, or where it is too large otherwise. Raises NotAnImage,
    CorruptImage, ImageTooLarge or ImageTooSmall. Damage inside a JPEG's scan that leaves its length
    intact cannot be detected.
    """
    opened = open_image(data, limits=limits, target=target)
    with _explained(opened):
        loaded = _load(opened, data, limits, target)
        profile = colour.profile_of(loaded)
        return _plain(_to_srgb(_turn_upright(loaded), profile, target))


def decode_region(data: bytes, *, limits: ImageLimits, box: Box, target: Size | int) -> Image.Image:
    """Decode a region of the upright image as `decode` would decode a file that holds only that.

    `target` is the (height, width), or the longest side allowed. The scale is only reduced where
    the image is too large otherwise, so that the region's borders lie where the box says. Raises
    what `decode` raises, and InvalidBox.
    """
    unreduced = (limits.max_side, limits.max_side)
    opened = open_image(data, limits=limits, target=unreduced)
    whole = opened.image.size
    with _explained(opened):
        loaded = _load(opened, data, limits, unreduced)
        profile = colour.profile_of(loaded)
        upright = _turn_upright(loaded)
        size = upright.size
        if opened.reduction > 1:
            size = whole[::-1] if _orientation(loaded) in _SIDEWAYS else whole
        edges = box.pixels(*size, limits=limits)
        region = upright.crop(_scaled(edges, size, upright.size))
        if isinstance(target, int):
            target = size_within(target, region.height, region.width)
        return _plain(_to_srgb(region, profile, target))


def _scaled(
    edges: tuple[int, int, int, int], size: tuple[int, int], reduced: tuple[int, int]
) -> tuple[int, int, int, int]:
    """Return a box of an image of `size` (width, height) in the pixels of a reduced one."""
    left, top, right, bottom = edges
    across, down = reduced[0] / size[0], reduced[1] / size[1]
    return round(left * across), round(top * down), round(right * across), round(bottom * down)


@contextmanager
def _explained(opened: Opened) -> Iterator[None]:
    """Raise ImageTooLarge or CorruptImage for what libraries raise while they decode."""
    try:
        yield
    except MemoryError:
        raise ImageTooLarge("the image needs more memory than a decoder has") from None
    except BROKEN as error:
        reason = str(error).strip()  # that of libheif ends in line ends
        raise CorruptImage(f"the {opened.image.format} image is damaged: {reason}") from None


def _plain(image: Image.Image) -> Image.Image:
    """Return the image without what was read beside its pixels.

    Otherwise a saved copy would have the profile that was already applied.
    """
    image.info = {}
    return image


def mark_changed(data: bytes, *, limits: ImageLimits, target: Size) -> Image.Image:
    """Return white if an image's pixels are read otherwise than before colours were managed.

    Black otherwise. A stand-in for `decode` in a decoder pool, because it runs lcms. Concerns
    images with a profile that is not sRGB, and TIFFs of more than 8 bits a channel.
    """
    image = open_image(data, limits=limits, target=target).image
    changed = colour.is_changed_by(colour.profile_of(image), colour.mode_to_convert(image))
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        changed |= max(image.tag_v2.get(TiffImagePlugin.BITSPERSAMPLE, (1,))) > 8
    return Image.new("RGB", target[::-1], "white" if changed else "black")


def size_within(side: int, height: int, width: int) -> Size:
    """Return the (height, width) of an image shrunk to fit a square of this side."""
    scale = min(1.0, side / max(height, width))
    return max(1, round(height * scale)), max(1, round(width * scale))


def fit(image: Image.Image, target: Size) -> Image.Image:
    """Stretch to `target` (height, width): bicubic, as every embedder does."""
    height, width = target
    if image.size == (width, height):
        return image
    return image.resize((width, height), Image.Resampling.BICUBIC)


def _load(opened: Opened, data: bytes, limits: ImageLimits, target: Size | None) -> Image.Image:
    """Decode the pixels of an opened image. A JPEG may lack its end, but hardly any pixel."""
    try:
        return opened.load()
    except OSError:
        if not isinstance(opened.image, JpegImagePlugin.JpegImageFile):
            raise
        whole = jpeg.decode_unended(data, partial(_decode_again, limits=limits, target=target))
        if whole is None:
            raise
        return whole


def _decode_again(data: bytes, *, limits: ImageLimits, target: Size | None) -> Image.Image:
    more = replace(limits, max_bytes=limits.max_bytes + len(data))  # the filling is our own
    return open_image(data, limits=more, target=target).load()


def _orientation(image: Image.Image) -> int:
    if len(image.info.get("exif") or b"") > png.MAX_EXIF:
        return 1
    try:
        return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except BROKEN:  # an image with damaged metadata is still usable
        return 1


def _turn_upright(image: Image.Image) -> Image.Image:
    """Turn as EXIF says. Only after `load`, which turns a TIFF and reads a PNG's late EXIF."""
    if image.mode.startswith("I;16"):  # `convert` alone would clip all above 255 to white
        image = _to_eight_bits(image)
    turn = _UPRIGHT.get(_orientation(image))
    return image if turn is None else image.transpose(turn)


def _to_eight_bits(image: Image.Image) -> Image.Image:
    """Scale grey of up to 16 bits. Pillow reads 12 bits, and white as zero, as they are stored."""
    bits, zero_is_white = 16, False
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        bits = image.tag_v2.get(TiffImagePlugin.BITSPERSAMPLE, (16,))[0]
        zero_is_white = image.tag_v2.get(TiffImagePlugin.PHOTOMETRIC_INTERPRETATION) == 0
    scale = 255 / ((1 << bits) - 1)
    grey = image.convert("I").point(lambda value: value * scale + 0.5).convert("L")
    return ImageOps.invert(grey) if zero_is_white else grey


def _to_srgb(image: Image.Image, profile: bytes | None, target: Size | None) -> Image.Image:
    if image.mode in ("I", "F"):
        raise NotAnImage("an image of 32 bits a channel is not supported")
    mode = colour.mode_to_convert(image)
    if not colour.is_changed_by(profile, mode):
        rgb = _lay_on_white(image)
        return fit(rgb, target) if target else rgb
    is_transparent = image.has_transparency_data
    layer = image.convert({"L": "LA", "RGB": "RGBA"}[mode] if is_transparent else mode)
    factor = _rough_factor(layer, target)
    fine = None if is_transparent else _convert_finely(layer, profile, target)
    layer = layer.reduce(factor) if factor > 1 else layer
    rgb = fine or colour.convert(layer.convert(mode), profile)
    if is_transparent:
        rgb.putalpha(layer.getchannel("A"))
    rgb = _lay_on_white(rgb)
    return fit(rgb, target) if target else rgb


def _rough_factor(image: Image.Image, target: Size | None) -> int:
    """Return by what an image is shrunk first, so that fewer pixels have to be converted.

    It leaves no less than twice the target. The rest of the way is left for after the conversion:
    edges come out otherwise in linear light.
    """
    if not target:
        return 1
    height, width = target
    return max(1, min(image.width // (2 * width), image.height // (2 * height)))


def _convert_finely(
    image: Image.Image, profile: bytes | None, target: Size | None
) -> Image.Image | None:
    """Convert an image whose dark tones are coarse, at twice the target; None for any other."""
    if not profile or image.mode != "RGB" or not colour.has_coarse_tones(profile):
        return None
    # Such images are rare, and every decoder would start later for NumPy.
    from backend.images import linear_light  # noqa: PLC0415

    space = linear_light.read_space(profile)
    if space is None:
        return None
    height, width = target or (image.height, image.width)
    size = min(image.width, 2 * width), min(image.height, 2 * height)
    return linear_light.convert(image, space, size)


def _lay_on_white(image: Image.Image) -> Image.Image:
    if not image.has_transparency_data:
        return image.convert("RGB")
    layer = image.convert("RGBA")
    paper = Image.new("RGB", image.size, "white")
    paper.paste(layer, mask=layer)
    return paper
