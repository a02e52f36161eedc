"""Colours as an image's profile means them -> sRGB.

An embedder expects sRGB. In a file with another profile (Display P3, Adobe RGB, ProPhoto, a
printer's CMYK) the same numbers mean other colours. lcms is C code that reads untrusted bytes:
`convert` is for decoder processes only.
"""

from __future__ import annotations

import hashlib
import io
import struct
from collections import OrderedDict
from collections.abc import Sequence
from typing import Final

from PIL import Image, ImageCms

MAX_PROFILE: Final = 1 << 20
"""Bytes of a profile that is honoured. Those of screens and cameras have some kilobytes."""

MAX_PRINTER_PROFILE: Final = 4 << 20
"""The same for CMYK: its tables are large (1.8 MB for ISO Coated v2)."""

MAX_CACHED: Final = 16
SAME: Final = 2
"""Levels of 255 by which a profile may differ from sRGB and still be taken for it."""

COARSE: Final = 4
"""Levels of sRGB between the numbers 0 and 1 from which dark tones count as coarse.

Linear light has 13, an exponent of 1.2 has 4, and one of 1.4 has 1.
"""

COLOUR_SPACES: Final = {"RGB": "RGB", "L": "GRAY", "CMYK": "CMYK", "LAB": "Lab"}
DEVICE_CLASSES: Final = {"mntr", "scnr", "prtr", "spac"}

# In-gamut colours stay what they are, which is what is compared; white is white in every space.
# The perceptual tables would change all colours, each maker's in another way. Without compensation
# a printer's black would be grey.
INTENT: Final = ImageCms.Intent.RELATIVE_COLORIMETRIC
FLAGS: Final = ImageCms.Flags.BLACKPOINTCOMPENSATION

_Transform = ImageCms.ImageCmsTransform | None
_transforms: OrderedDict[tuple[str, bytes], _Transform] = OrderedDict()
_srgb: Final[list[ImageCms.ImageCmsProfile]] = []


def profile_of(image: Image.Image) -> bytes | None:
    """Return the ICC profile that an image is to be read by; None for sRGB.

    An embedded one comes first. A PNG without one may describe its colours in numbers instead.
    """
    embedded = image.info.get("icc_profile")
    if embedded:
        return embedded if isinstance(embedded, bytes) else None
    if image.format != "PNG" or "srgb" in image.info:
        return None
    return _described_by_png(image.info.get("gamma"), image.info.get("chromaticity"))


def mode_to_convert(image: Image.Image) -> str:
    """Return the mode ("RGB", "L", "CMYK" or "LAB") in which an image's profile holds."""
    if image.mode in ("CMYK", "LAB"):
        return image.mode
    if image.mode in ("1", "L", "LA", "La"):  # the numbers of a PNG describe a space of RGB
        return "L" if image.info.get("icc_profile") else "RGB"
    return "RGB"


def is_changed_by(profile: bytes | None, mode: str) -> bool:
    """Tell whether pixels of a mode ("RGB", "L", "CMYK", "LAB") change when they are converted."""
    return transform_for(profile, mode) is not None


def has_coarse_tones(profile: bytes) -> bool:
    """Tell whether the number 1 of 255 may be brighter than COARSE levels of sRGB less one."""
    transform = transform_for(profile, "RGB")
    if transform is None:
        return False
    return max(transform.apply(Image.new("RGB", (1, 1), (1, 1, 1))).tobytes()) >= COARSE - 1


def convert(image: Image.Image, profile: bytes | None) -> Image.Image:
    """Convert an RGB, L, CMYK or LAB image to RGB in sRGB.

    Returns the image itself where that changes nothing: the profile is sRGB, broken, too large, or
    belongs to another kind of image.
    """
    transform = transform_for(profile, image.mode)
    return transform.apply(image) if transform else image


def transform_for(profile: bytes | None, mode: str) -> _Transform:
    """Return the transform to sRGB, None if there is none to be made. The last few are kept."""
    if mode not in COLOUR_SPACES or (profile is None and mode != "LAB"):
        return None
    most = MAX_PRINTER_PROFILE if mode == "CMYK" else MAX_PROFILE
    if profile and len(profile) > most:
        return None
    key = (mode, hashlib.sha256(profile or b"").digest())
    if key not in _transforms:
        _transforms[key] = _build(profile, mode)
        if len(_transforms) > MAX_CACHED:
            _transforms.popitem(last=False)
    _transforms.move_to_end(key)
    return _transforms[key]


def _build(profile: bytes | None, mode: str) -> _Transform:
    """Return the transform to sRGB, None if the profile does not fit, or is sRGB."""
    if not _srgb:
        _srgb.append(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")))
    try:
        if mode == "LAB":
            source = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB"))
        else:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile or b""))
            kind = source.profile
            if kind.xcolor_space.strip() != COLOUR_SPACES[mode]:
                return None
            if kind.device_class not in DEVICE_CLASSES:
                return None
        transform = ImageCms.ImageCmsTransform(source, _srgb[0], mode, "RGB", INTENT, flags=FLAGS)
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):  # a broken profile is ignored
        return None
    return None if mode in ("RGB", "L") and _is_identity(transform, mode) else transform


def _is_identity(transform: ImageCms.ImageCmsTransform, mode: str) -> bool:
    """Tell by samples whether a transform changes nothing; a profile's name may be untrue."""
    sample = Image.linear_gradient("L")
    if mode == "RGB":
        steps = bytes(range(0, 256, 17))
        cube = bytes(
            v for red in steps for green in steps for blue in steps for v in (red, green, blue)
        )
        sample = Image.frombytes("RGB", (256, 16), cube)
    before, after = sample.convert("RGB").tobytes(), transform.apply(sample).tobytes()
    return all(abs(one - other) <= SAME for one, other in zip(before, after, strict=True))


# --- PNG: colours described by numbers -------------------------------------------------------

SRGB_CHROMATICITY: Final = (0.3127, 0.3290, 0.64, 0.33, 0.30, 0.60, 0.15, 0.06)
"""x and y of white, red, green and blue, as the PNG chunk cHRM orders them."""

SRGB_GAMMA: Final = 1 / 2.2
"""What a PNG writes (gAMA) for sRGB, whose curve is no power."""

D50: Final = (0.9642, 1.0, 0.8249)
BRADFORD: Final = ((0.8951, 0.2664, -0.1614), (-0.7502, 1.7135, 0.0367), (0.0389, -0.0685, 1.0296))

Vector = Sequence[float]
Matrix = Sequence[Vector]


def _described_by_png(gamma: object, chromaticity: object) -> bytes | None:
    is_srgb_curve = not isinstance(gamma, float) or abs(gamma - SRGB_GAMMA) < 0.005
    curve = None if is_srgb_curve or not isinstance(gamma, float) else gamma
    if curve is not None and not 0.1 <= curve <= 5:
        return None
    points = chromaticity if isinstance(chromaticity, tuple) else SRGB_CHROMATICITY
    is_srgb = all(abs(a - b) < 0.002 for a, b in zip(points, SRGB_CHROMATICITY, strict=True))
    if curve is None and is_srgb:
        return None
    try:
        return matrix_profile(points, None if curve is None else 1 / curve)
    except (ArithmeticError, struct.error, ValueError):  # colours that no screen has
        return None


def matrix_profile(chromaticity: Vector, exponent: float | None) -> bytes:
    """Return an ICC profile (version 4) of an RGB space.

    `chromaticity` is x, y of white, red, green, blue; `exponent` that of the curve from stored
    values to light, None for sRGB's own curve. It has no grey curve, but lcms reads greys only from
    profiles of greys: for those, use the curve with three equal channels.
    """
    white, *primaries = (
        (x / y, 1.0, (1 - x - y) / y)
        for x, y in zip(chromaticity[::2], chromaticity[1::2], strict=True)
    )
    columns = _transpose(primaries)
    shares = _apply(_inverse(columns), white)
    to_d50 = _adaptation(white)
    tags = {b"wtpt": _xyz(D50)}
    for name, primary, share in zip((b"r", b"g", b"b"), primaries, shares, strict=True):
        tags[name + b"XYZ"] = _xyz(_apply(to_d50, [share * part for part in primary]))
        tags[name + b"TRC"] = _curve(exponent)
    tags[b"desc"] = tags[b"cprt"] = _text("described by PNG")
    return _pack_profile(tags)


def _pack_profile(tags: dict[bytes, bytes]) -> bytes:
    directory, body = struct.pack(">I", len(tags)), b""
    start = 128 + 4 + 12 * len(tags)
    for name, data in tags.items():
        directory += struct.pack(">4sII", name, start + len(body), len(data))
        body += data + bytes(-len(data) % 4)
    header = struct.pack(
        ">I4sI4s4s4s12s4s4sI4s4sQI3I",
        start + len(body), b"\0\0\0\0", 0x04300000, b"mntr", b"RGB ", b"XYZ ", bytes(12), b"acsp",
        bytes(4), 0, bytes(4), bytes(4), 0, 1, *map(_fixed, D50),
    )  # fmt: skip
    return header.ljust(128, b"\0") + directory + body


def _fixed(value: float) -> int:
    return round(value * 65536)


def _xyz(values: Vector) -> bytes:
    return b"XYZ \0\0\0\0" + struct.pack(">3i", *map(_fixed, values))


def _curve(exponent: float | None) -> bytes:
    if exponent is not None:
        return b"para\0\0\0\0" + struct.pack(">HHi", 0, 0, _fixed(exponent))
    srgb = (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
    return b"para\0\0\0\0" + struct.pack(">HH5i", 3, 0, *map(_fixed, srgb))


def _text(words: str) -> bytes:
    encoded = words.encode("utf-16-be")
    return b"mluc\0\0\0\0" + struct.pack(">II4sII", 1, 12, b"enUS", len(encoded), 28) + encoded


def _adaptation(white: Vector) -> Matrix:
    """Return Bradford's matrix, which turns colours under a white into those under D50."""
    ours, theirs = _apply(BRADFORD, white), _apply(BRADFORD, D50)
    scaled = [
        [value * theirs[row] / ours[row] for value in BRADFORD[row]] for row in range(len(BRADFORD))
    ]
    back = _inverse(BRADFORD)
    return _transpose([_apply(back, column) for column in _transpose(scaled)])


def _apply(matrix: Matrix, vector: Vector) -> list[float]:
    return [sum(a * b for a, b in zip(row, vector, strict=True)) for row in matrix]


def _transpose(matrix: Matrix) -> Matrix:
    return list(zip(*matrix, strict=True))


def _inverse(matrix: Matrix) -> Matrix:
    """Invert 3 x 3 by cofactors. Raises ZeroDivisionError for one that has no inverse."""
    (a, b, c), (d, e, f), (g, h, i) = matrix
    cofactors = (
        (e * i - f * h, c * h - b * i, b * f - c * e),
        (f * g - d * i, a * i - c * g, c * d - a * f),
        (d * h - e * g, b * g - a * h, a * e - b * d),
    )
    determinant = a * cofactors[0][0] + b * cofactors[1][0] + c * cofactors[2][0]
    return [[value / determinant for value in row] for row in cofactors]
