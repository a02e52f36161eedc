"""Colours come out as their profile means them, and a profile that is no use does no harm."""

from __future__ import annotations

import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageCms
from support.colour_profiles import (
    SPACES,
    cmyk_profile,
    encode,
    grey_profile,
    in_rgb,
    written_in,
)
from support.image_files import garment

from backend.images import ImageLimits, colour
from backend.images.colour import matrix_profile
from backend.images.decode import decode

LIMITS = ImageLimits()
GARMENT = garment(3)
P3, PROPHOTO, LINEAR = (
    matrix_profile(*SPACES[name]) for name in ("Display P3", "ProPhoto", "linear")
)


def difference(data: bytes, other: Image.Image, **options: object) -> float:
    decoded = decode(data, limits=LIMITS, **options)
    return float(np.abs(np.asarray(decoded, float) - np.asarray(other, float)).mean())


@pytest.mark.parametrize("space", [*SPACES, "CMYK"])
def test_a_profile_gives_the_colours_that_its_image_had(space: str) -> None:
    data = written_in(GARMENT, space, "TIFF")

    assert data is not None
    assert difference(data, GARMENT) < 2


def test_a_profile_of_greys_is_honoured() -> None:
    data = written_in(GARMENT, "grey", "PNG")
    assert data is not None
    assert difference(data, GARMENT.convert("L").convert("RGB")) < 1


def test_red_on_a_wide_screen_is_more_than_red_and_is_cut_to_it() -> None:
    data = encode(Image.new("RGB", (60, 80), (234, 51, 35)), "PNG", icc_profile=P3)

    assert decode(data, limits=LIMITS).getpixel((9, 9)) == pytest.approx((255, 0, 0), abs=8)


def test_shrinking_comes_first_and_changes_nothing_that_can_be_seen() -> None:
    small = GARMENT.resize((60, 80), Image.Resampling.BICUBIC)
    data = written_in(GARMENT, "ProPhoto", "PNG")

    assert data is not None
    assert difference(data, small, target=(80, 60)) < 3


def test_what_is_transparent_is_white_under_any_profile() -> None:
    layer = in_rgb(GARMENT, PROPHOTO)
    layer.putalpha(Image.new("L", GARMENT.size, 255))
    layer.paste((9, 9, 9, 0), (0, 0, 180, 120))
    data = encode(layer, "PNG", icc_profile=PROPHOTO)
    expected = GARMENT.copy()
    expected.paste("white", (0, 0, 180, 120))

    assert difference(data, expected) < 2
    assert decode(data, limits=LIMITS).getpixel((5, 5)) == (255, 255, 255)
    assert decode(data, limits=LIMITS, target=(60, 45)).getpixel((5, 5)) == (255, 255, 255)


def test_a_palette_has_its_profile_too() -> None:
    few = GARMENT.quantize(64)
    converted = in_rgb(few.convert("RGB"), PROPHOTO).quantize(64)

    data = encode(converted, "PNG", icc_profile=PROPHOTO)

    assert difference(data, few.convert("RGB")) < 4


def test_an_image_is_turned_and_converted() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = in_rgb(GARMENT, P3).transpose(Image.Transpose.ROTATE_90)

    assert difference(encode(turned, "JPEG", icc_profile=P3, exif=exif), GARMENT) < 4


# --- profiles that change nothing ------------------------------------------------------------

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


@pytest.mark.parametrize(
    "profile",
    [
        SRGB,
        matrix_profile(*SPACES["sRGB"]),
        b"\0" * 500,
        P3[:200],
        P3.replace(b"rXYZ", b"nope"),
        P3 + bytes(2_000_000),
        grey_profile(),
        cmyk_profile(),
    ],
    ids=["lcms", "ours", "zeros", "cut", "incomplete", "huge", "grey", "CMYK"],
)
def test_a_profile_that_is_srgb_or_no_use_changes_nothing(profile: bytes) -> None:
    for kind in ("JPEG", "TIFF"):
        decoded = decode(encode(GARMENT, kind, icc_profile=profile), limits=LIMITS)
        assert decoded == decode(encode(GARMENT, kind), limits=LIMITS)
    assert not colour.is_changed_by(profile, "RGB")


def test_a_profile_named_srgb_is_judged_by_what_it_does() -> None:
    name, other = ("described".encode("utf-16-be"), "sRGB IEC6".encode("utf-16-be"))

    assert name in PROPHOTO
    assert colour.is_changed_by(PROPHOTO.replace(name, other), "RGB")


def test_a_damaged_profile_gives_an_image_and_nothing_else() -> None:
    dice = np.random.default_rng(0)
    for profile, mode in (
        (P3, "RGB"),
        (LINEAR, "RGB"),
        (grey_profile(), "L"),
        (cmyk_profile(), "CMYK"),
    ):
        for _ in range(45):
            damaged = bytearray(profile)
            for at in dice.integers(0, min(len(profile), 400), 4):
                damaged[at] = dice.integers(256)
            image = GARMENT.convert(mode)
            assert decode(encode(image, "TIFF", icc_profile=bytes(damaged)), limits=LIMITS)


def test_transforms_are_made_once_and_few_are_kept() -> None:
    primaries = SPACES["sRGB"][0]
    many = [matrix_profile(primaries, 1.2 + n / 100) for n in range(colour.MAX_CACHED + 1)]
    made = [colour.transform_for(profile, "RGB") for profile in many]

    assert None not in made
    assert colour.transform_for(many[-1], "RGB") is made[-1]
    assert colour.transform_for(many[0], "RGB") is not made[0]


# --- PNG -------------------------------------------------------------------------------------


def png(image: Image.Image, *chunks: tuple[bytes, bytes]) -> bytes:
    data = encode(image, "PNG")
    extra = b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in chunks
    )
    return data[:33] + extra + data[33:]


def gamma(value: float) -> tuple[bytes, bytes]:
    return b"gAMA", struct.pack(">I", round(value * 100_000))


def chromaticity(space: str) -> tuple[bytes, bytes]:
    return b"cHRM", struct.pack(">8I", *(round(value * 100_000) for value in SPACES[space][0]))


def test_gamma_of_a_png_is_honoured() -> None:
    linear = in_rgb(GARMENT, matrix_profile(*SPACES["linear"]))
    linear.info.clear()

    assert difference(png(linear, gamma(1.0)), GARMENT) < 2


def test_gamma_and_chromaticity_of_a_png_are_honoured_together() -> None:
    wide = in_rgb(GARMENT, PROPHOTO)
    wide.info.clear()

    assert difference(png(wide, gamma(1 / 1.8), chromaticity("ProPhoto")), GARMENT) < 2


def test_greys_have_a_gamma_too() -> None:
    light = Image.linear_gradient("L")
    shown = decode(png(light, gamma(1.0)), limits=LIMITS)

    assert shown.getpixel((9, 128)) == pytest.approx((188, 188, 188), abs=2)


@pytest.mark.parametrize(
    "chunks",
    [
        [gamma(1 / 2.2)],
        [gamma(1 / 2.2), chromaticity("sRGB")],
        [gamma(1.0), (b"sRGB", b"\0")],
        [gamma(0)],
        [gamma(1 / 2.2), (b"cHRM", bytes(32))],
        [gamma(1.0), (b"iCCP", b"sRGB\0\0" + zlib.compress(SRGB))],
    ],
    ids=["gamma", "and primaries", "sRGB", "zero", "zeros", "profile"],
)
def test_what_a_png_says_of_srgb_or_without_sense_changes_nothing(
    chunks: list[tuple[bytes, bytes]],
) -> None:
    assert decode(png(GARMENT, *chunks), limits=LIMITS) == GARMENT
