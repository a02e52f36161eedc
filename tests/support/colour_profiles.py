"""Colour profiles built here, and images written in their colours instead of in sRGB."""

from __future__ import annotations

import io
import struct
from functools import cache
from itertools import product

from PIL import Image, ImageCms

from backend.images.colour import matrix_profile
from sample_catalogue import draw
from sample_catalogue.styles import invent

D65, D50 = (0.3127, 0.3290), (0.3457, 0.3585)
SPACES = {  # white, red, green and blue; the exponent of the curve, None for sRGB's
    "sRGB": ((*D65, 0.64, 0.33, 0.30, 0.60, 0.15, 0.06), None),
    "Display P3": ((*D65, 0.68, 0.32, 0.265, 0.69, 0.15, 0.06), None),
    "Adobe RGB": ((*D65, 0.64, 0.33, 0.21, 0.71, 0.15, 0.06), 2.2),
    "ProPhoto": ((*D50, 0.7347, 0.2653, 0.1596, 0.8404, 0.0366, 0.0001), 1.8),
    "linear": ((*D65, 0.64, 0.33, 0.30, 0.60, 0.15, 0.06), 1.0),
}
GREY_EXPONENT = 1.4
DOT_GAIN = 1.6
FORMATS = ("JPEG", "PNG", "WebP", "TIFF")
GRID = [(space, kind) for space in (*SPACES, "grey", "CMYK") for kind in FORMATS]


def photographs(count: int, *, size: tuple[int, int] = (720, 960)) -> list[Image.Image]:
    """Drawn products, as large as a shop's photographs."""
    return [draw(item).resize(size, Image.Resampling.BICUBIC) for item in invent(count, seed=3)]


def encode(image: Image.Image, format: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    exact: dict[str, dict[str, object]] = {
        "JPEG": {"quality": 97, "subsampling": 0},
        "WebP": {"lossless": True, "quality": 0, "method": 0},  # the same pixels, sooner
        "PNG": {"compress_level": 1},
    }
    image.save(buffer, format, **exact.get(format, {}), **options)
    return buffer.getvalue()


def plain(image: Image.Image, space: str, format: str) -> bytes:
    """The same image without a profile; for grey its greys."""
    return encode(image.convert("L") if space == "grey" else image, format)


def written_in(
    image: Image.Image, space: str, format: str, *, profile: bool = True
) -> bytes | None:
    """An sRGB image, written in another space with that space's profile.

    None where the format has no such images: PNG and WebP have no CMYK.
    """
    if space == "CMYK" and format in ("PNG", "WebP"):
        return None
    if space == "grey":
        colours, icc = in_grey(image), grey_profile()
        if format == "WebP":  # it has no greys: they are colours, under a profile of colours
            colours, icc = colours.convert("RGB"), matrix_profile(SPACES["sRGB"][0], GREY_EXPONENT)
    elif space == "CMYK":
        colours, icc = in_cmyk(image), cmyk_profile()
    else:
        icc = matrix_profile(*SPACES[space])
        colours = in_rgb(image, icc)
    colours.info.clear()  # or Pillow would write the profile that it converted to
    return encode(colours, format, **({"icc_profile": icc} if profile else {}))


def in_rgb(image: Image.Image, profile: bytes) -> Image.Image:
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
    theirs = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    transform = ImageCms.buildTransform(srgb, theirs, "RGB", "RGB", ImageCms.Intent(1))
    return ImageCms.applyTransform(image, transform)


def in_grey(image: Image.Image) -> Image.Image:
    return image.convert("L").point(
        [round(255 * to_light(v) ** (1 / GREY_EXPONENT)) for v in LEVELS]
    )


def in_cmyk(image: Image.Image) -> Image.Image:
    """The image for a press whose inks spread: each channel is darker than its number says."""
    ink = [round(255 * (1 - (v / 255) ** (1 / DOT_GAIN))) for v in LEVELS]
    return Image.merge("CMYK", [*(band.point(ink) for band in image.split()), black(image.size)])


def black(size: tuple[int, int]) -> Image.Image:
    return Image.new("L", size)


LEVELS = range(256)


def to_light(level: float) -> float:
    value = level / 255
    return value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4


@cache
def grey_profile() -> bytes:
    curve = b"para\0\0\0\0" + struct.pack(">HHi", 0, 0, round(GREY_EXPONENT * 65536))
    return pack(b"mntr", b"GRAY", b"XYZ ", {b"kTRC": curve})


@cache
def cmyk_profile(steps: int = 9) -> bytes:
    """A printer's profile: a table from amounts of ink to Lab."""
    inks = [[i / (steps - 1) for i in range(steps)]] * 4
    colours = bytes(
        round(255 * ((1 - ink) * (1 - key)) ** DOT_GAIN)
        for c, m, y, key in product(*inks)
        for ink in (c, m, y)
    )
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB"))
    transform = ImageCms.buildTransform(srgb, lab, "RGB", "LAB", ImageCms.Intent(1))
    image = Image.frombytes("RGB", (steps**2, steps**2), colours)
    table = ImageCms.applyTransform(image, transform).tobytes()
    # PIL keeps a and b with their sign, a profile with 128 added
    table = bytes(v if i % 3 == 0 else v ^ 0x80 for i, v in enumerate(table))
    unit = struct.pack(">9i", *(65536 * int(i % 4 == 0) for i in range(9)))
    straight = bytes(LEVELS)
    lut = b"mft1\0\0\0\0" + bytes((4, 3, steps, 0)) + unit + 4 * straight + table + 3 * straight
    return pack(b"prtr", b"CMYK", b"Lab ", {b"A2B0": lut, b"A2B1": lut}, version=2)


def pack(
    kind: bytes, space: bytes, connection: bytes, tags: dict[bytes, bytes], *, version: int = 4
) -> bytes:
    """A profile with these tags, and the white point and description that every profile has."""
    white = struct.pack(">3i", 63190, 65536, 54061)
    words = "made in a test".encode("utf-16-be")
    text = b"mluc\0\0\0\0" + struct.pack(">II4sII", 1, 12, b"enUS", len(words), 28) + words
    tags = tags | {b"wtpt": b"XYZ \0\0\0\0" + white, b"desc": text, b"cprt": text}
    start, directory, body = 132 + 12 * len(tags), b"", b""
    for name, data in tags.items():
        directory += struct.pack(">4sII", name, start + len(body), len(data))
        body += data + bytes(-len(data) % 4)
    head = struct.pack(
        ">I4xB3x4s4s4s12x4s28x", start + len(body), version, kind, space, connection, b"acsp"
    )
    head += white
    return head.ljust(128, b"\0") + struct.pack(">I", len(tags)) + directory + body
