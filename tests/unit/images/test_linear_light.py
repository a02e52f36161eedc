"""Dark tones of images in linear light come back, and all other colours are those of lcms."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from PIL import Image
from support.colour_profiles import SPACES, encode, in_rgb, pack

from backend.images import ImageLimits, colour, linear_light
from backend.images.colour import matrix_profile
from backend.images.decode import decode

LIMITS = ImageLimits()
LINEAR = matrix_profile(*SPACES["linear"])
XYZ = {b"rXYZ": (0.4361, 0.2225, 0.0139), b"gXYZ": (0.3851, 0.7169, 0.0971)}
XYZ |= {b"bXYZ": (0.1431, 0.0606, 0.7141)}


def para(kind: int, *numbers: float) -> bytes:
    fixed = (round(number * 65536) for number in numbers)
    return b"para\0\0\0\0" + struct.pack(f">HH{len(numbers)}i", kind, 0, *fixed)


def curv(*entries: int) -> bytes:
    return b"curv\0\0\0\0" + struct.pack(f">I{len(entries)}H", len(entries), *entries)


def profile_with(curve: bytes, **more: bytes) -> bytes:
    tags = dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve)
    for name, values in XYZ.items():
        tags[name] = b"XYZ \0\0\0\0" + struct.pack(">3i", *(round(65536 * v) for v in values))
    return pack(b"mntr", b"RGB ", b"XYZ ", tags | {key.encode(): tag for key, tag in more.items()})


def dark_cloth(side: int = 240) -> Image.Image:
    """Dark red with a soft texture, as a garment has it."""
    noise = np.random.default_rng(1).normal(0, 1, (side // 4, side // 4)).astype(np.float32)
    texture = Image.fromarray(noise).resize((side, side), Image.Resampling.BICUBIC)
    light = 1 + 0.25 * np.asarray(texture)[..., None]
    levels = np.array([110, 22, 34]) * np.clip(light, 0.3, 2)
    return Image.fromarray(np.rint(levels).astype(np.uint8))


def roughness(found: Image.Image, wanted: Image.Image) -> float:
    """How much the error of the two dark channels varies, in levels of 255."""
    errors = np.asarray(found, float) - np.asarray(wanted, float)
    return float(errors[..., 1:].std(axis=(0, 1)).mean())


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_the_texture_of_dark_cloth_comes_back(kind: str) -> None:
    cloth = dark_cloth()
    stored = in_rgb(cloth, LINEAR)
    stored.info.clear()
    ignored, data = encode(stored, kind), encode(stored, kind, icc_profile=LINEAR)
    small = ((80, 80), Image.Resampling.BICUBIC)

    found = decode(data, limits=LIMITS, target=(80, 80))

    by_lcms = colour.convert(decode(ignored, limits=LIMITS), LINEAR).resize(*small)
    wanted = cloth.resize(*small)
    assert roughness(found, wanted) < 0.7 * roughness(by_lcms, wanted)


CURVES = {
    "identity": curv(),
    "gamma": curv(256 + 26),
    "table": curv(0, 30000, 65535),
    "para 0": para(0, 1.1),
    "para 1": para(1, 1.05, 1.0, -0.001),
    "para 2": para(2, 1.1, 1.0, 0.0, 0.0),
    "para 3": para(3, 1.2, 0.9, 0.1, 0.7, 0.1),
    "para 4": para(4, 1.2, 0.9, 0.05, 0.7, 0.1, 0.03, 0.0),
}


@pytest.mark.parametrize("name", CURVES)
def test_bright_colours_are_those_of_lcms_by_every_kind_of_curve(name: str) -> None:
    profile = profile_with(CURVES[name])
    space = linear_light.read_space(profile)
    flat = np.random.default_rng(2).integers(60, 200, (16, 3)).astype(np.uint8)
    for colours in flat:
        image = Image.new("RGB", (16, 16), tuple(colours))
        assert space is not None
        found = linear_light.convert(image, space, image.size)
        assert found is not None
        wanted = colour.convert(image, profile).getpixel((8, 8))
        assert found.getpixel((8, 8)) == pytest.approx(wanted, abs=2)


@pytest.mark.parametrize("name", [name for name in SPACES if name != "linear"])
def test_a_space_whose_dark_tones_are_fine_is_left_to_lcms(name: str) -> None:
    assert linear_light.read_space(matrix_profile(*SPACES[name])) is None


def test_a_profile_with_a_table_of_colours_is_left_to_lcms() -> None:
    assert linear_light.read_space(profile_with(curv())) is not None
    assert linear_light.read_space(profile_with(curv(), A2B0=b"mft1")) is None


def test_a_profile_whose_black_is_not_0_is_left_to_lcms() -> None:
    assert linear_light.read_space(profile_with(para(2, 1.1, 0.95, 0.02, 0.03))) is None


def test_what_is_still_large_after_shrinking_is_left_to_lcms() -> None:
    space = linear_light.read_space(LINEAR)
    assert space is not None
    large = Image.new("RGB", (1100, 1000))

    assert linear_light.convert(large, space, (1100, 1000)) is None
    assert linear_light.convert(large, space, (550, 500)) is not None


def test_numbers_without_sense_are_no_curve_or_a_curve_within_bounds() -> None:
    dice, image = np.random.default_rng(3), Image.new("RGB", (9, 7), "olive")
    for _ in range(60):
        damaged = bytearray(profile_with(CURVES["para 4"]))
        for at in dice.integers(128, len(damaged), 6):
            damaged[at] = dice.integers(256)
        space = linear_light.read_space(bytes(damaged))
        if space:
            assert linear_light.convert(image, space, image.size) is not None
