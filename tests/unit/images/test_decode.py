"""Images of every kind become upright RGB, or are refused with a reason."""

from __future__ import annotations

import io
import random
import struct
import zlib
from contextlib import suppress

import numpy as np
import pytest
from PIL import Image, features

from backend import images
from backend.errors import (
    CorruptImage,
    ImageError,
    ImageTooLarge,
    ImageTooSmall,
    NotAnImage,
)
from backend.images.decode import decode, inspect
from backend.images.limits import ImageLimits

LIMITS = ImageLimits()
RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)


def encode(image: Image.Image, format: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def gradient(width: int = 60, height: int = 80, mode: str = "RGB") -> Image.Image:
    """A smooth gradient: codecs that lose something lose little of it."""
    rows, columns = np.mgrid[0:height, 0:width]
    pixels = np.stack([rows * 255 // height, columns * 255 // width, 0 * rows + 128], axis=-1)
    return Image.fromarray(pixels.astype(np.uint8)).convert(mode)


def difference(one: Image.Image, other: Image.Image) -> float:
    return float(np.abs(np.asarray(one, float) - np.asarray(other, float)).mean())


def png_that_claims(width: int, height: int) -> bytes:
    """A PNG of a few bytes whose header says otherwise."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = chunk(b"IDAT", zlib.compress(b"\0" * 100))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + body + chunk(b"IEND", b"")


# --- what is read --------------------------------------------------------------------------


@pytest.mark.parametrize("format", images.FORMATS)
def test_every_allowed_format_is_read(format: str) -> None:
    data = encode(gradient(), format)

    decoded = decode(data, limits=LIMITS)

    assert decoded.mode == "RGB"
    assert difference(decoded, gradient()) < 8
    assert inspect(data, limits=LIMITS) == images.ImageInfo(format=format, width=60, height=80)


def test_the_seven_formats_are_those_that_this_pillow_can_decode() -> None:
    assert images.FORMATS == ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")
    assert features.check("webp")
    assert features.check("avif")


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "CMYK", "YCbCr", "LA", "RGBA"])
def test_every_colour_mode_becomes_rgb(mode: str) -> None:
    data = encode(gradient(mode=mode), "TIFF" if mode in ("CMYK", "YCbCr") else "PNG")

    decoded = decode(data, limits=LIMITS)

    assert decoded.mode == "RGB"
    assert difference(decoded, gradient(mode=mode).convert("RGB")) < 2


def test_a_cmyk_jpeg_as_printers_make_them_keeps_its_colours() -> None:
    decoded = decode(encode(Image.new("CMYK", (60, 80), (0, 255, 255, 0)), "JPEG"), limits=LIMITS)

    assert difference(decoded, Image.new("RGB", (60, 80), RED)) < 4


def test_transparency_is_laid_on_white() -> None:
    half = Image.new("RGBA", (60, 80), (255, 0, 0, 128))
    half.paste((0, 0, 0, 0), (0, 0, 60, 40))

    decoded = decode(encode(half), limits=LIMITS)

    assert decoded.getpixel((30, 10)) == WHITE
    assert decoded.getpixel((30, 70)) == pytest.approx((255, 127, 127), abs=1)


def test_a_transparent_colour_of_a_palette_and_of_greys_is_white_too() -> None:
    palette = Image.new("P", (60, 80), 1)
    palette.putpalette([0, 0, 0, 255, 0, 0])
    palette.paste(0, (0, 0, 60, 40))
    grey = Image.new("LA", (60, 80), (0, 0))

    assert decode(encode(palette, transparency=0), limits=LIMITS).getpixel((9, 9)) == WHITE
    assert decode(encode(palette, transparency=0), limits=LIMITS).getpixel((9, 70)) == RED
    assert decode(encode(palette, "GIF", transparency=0), limits=LIMITS).getpixel((9, 9)) == WHITE
    assert decode(encode(grey), limits=LIMITS).getpixel((9, 9)) == WHITE


@pytest.mark.parametrize("format", ["PNG", "TIFF"])
def test_sixteen_bits_of_grey_are_scaled_and_not_clipped(format: str) -> None:
    values = np.linspace(0, 65535, 80 * 60).reshape(80, 60).astype(np.uint16)

    decoded = decode(encode(Image.fromarray(values), format), limits=LIMITS)

    assert np.abs(np.asarray(decoded)[..., 0] - values / 257).max() <= 0.5001
    assert len(np.unique(decoded)) == 256


def test_thirty_two_bits_a_channel_are_refused() -> None:
    data = encode(Image.fromarray(np.ones((80, 60), np.float32)), "TIFF")

    with pytest.raises(NotAnImage, match="32 bits"):
        decode(data, limits=LIMITS)


@pytest.mark.parametrize("format", ["GIF", "PNG", "WEBP"])
def test_an_animation_gives_its_first_frame(format: str) -> None:
    frames = [Image.new("RGB", (60, 80), colour) for colour in (RED, GREEN, BLUE)]
    data = encode(frames[0], format, save_all=True, append_images=frames[1:])

    assert difference(decode(data, limits=LIMITS), frames[0]) < 4


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_an_image_is_turned_as_its_exif_says(format: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    upright = Image.new("RGB", (64, 96), WHITE)
    upright.paste(RED, (0, 0, 32, 48))  # one corner, so that no two orientations look alike
    undo = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # PIL's transpositions: stored from upright
    stored = upright if orientation == 1 else upright.transpose(undo[orientation])
    data = encode(stored, format, exif=exif)

    assert difference(decode(data, limits=LIMITS), upright) < 6
    info = inspect(data, limits=LIMITS)
    assert (info.width, info.height) == (64, 96)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_damaged_metadata_do_not_spoil_a_gradient() -> None:
    data = encode(
        gradient(), "JPEG", exif=b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\xff\xff\xff\xff"
    )

    assert decode(data, limits=LIMITS).size == (60, 80)


# --- sizes ---------------------------------------------------------------------------------


def test_with_a_target_the_image_has_exactly_that_height_and_width() -> None:
    for size in ((60, 80), (600, 800), (31, 333)):
        decoded = decode(encode(gradient(*size)), limits=LIMITS, target=(224, 168))
        assert decoded.size == (168, 224)


def test_decoding_to_a_target_is_decoding_and_then_fitting() -> None:
    data = encode(gradient(300, 400))

    assert decode(data, limits=LIMITS, target=(224, 168)) == images.fit(
        decode(data, limits=LIMITS), (224, 168)
    )


def test_a_large_jpeg_is_decoded_at_a_reduced_scale_without_a_visible_difference() -> None:
    large = gradient(1800, 2400).effect_spread(3)
    data = encode(large, "JPEG", quality=95)

    decoded = decode(data, limits=LIMITS, target=(224, 168))

    assert difference(decoded, images.fit(large, (224, 168))) < 3


def test_a_turned_jpeg_is_reduced_by_its_upright_measures() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    upright = gradient(400, 1200)
    data = encode(upright.transpose(Image.Transpose.ROTATE_90), "JPEG", exif=exif, quality=95)

    decoded = decode(data, limits=LIMITS, target=(600, 200))

    assert difference(decoded, images.fit(upright, (600, 200))) < 3


# --- what is refused -----------------------------------------------------------------------


def test_an_empty_file_is_refused() -> None:
    with pytest.raises(NotAnImage, match="empty"):
        decode(b"", limits=LIMITS)


@pytest.mark.parametrize(
    "data",
    [b"<html>404</html>" * 9, b"%PDF-1.7 " * 99, b"\0" * 4096, b"P6 9 9 255 " + b"x" * 243],
    ids=["html", "pdf", "zeros", "ppm"],
)
def test_what_is_no_image_of_an_allowed_format_is_refused(data: bytes) -> None:
    with pytest.raises(NotAnImage, match="JPEG, PNG"):
        decode(data, limits=LIMITS)


@pytest.mark.parametrize("format", images.FORMATS)
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_truncated_file_is_refused_with_its_reason(format: str, share: float) -> None:
    noise = Image.effect_noise((120, 160), 90).convert("RGB")
    data = encode(noise, format)

    with pytest.raises(ImageError) as refused:
        decode(data[: int(share * len(data))], limits=LIMITS)

    assert isinstance(refused.value, CorruptImage) or format == "BMP"
    assert len(refused.value.message) > 15


def test_a_file_that_only_begins_like_an_image_is_called_damaged() -> None:
    for start in (b"\xff\xd8\xff\xe0", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"RIFF\0\0\0\0WEBP"):
        with pytest.raises(CorruptImage, match="header"):
            decode(start + b"\0" * 20, limits=LIMITS)


@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow's, about what it skips
@pytest.mark.parametrize("format", images.FORMATS)
def test_damaged_bytes_give_an_image_or_an_image_error_and_nothing_else(format: str) -> None:
    sound = encode(gradient(), format)
    dice = random.Random(0)
    for _ in range(150):
        damaged = bytearray(sound)
        for _ in range(dice.choice((1, 3, 20))):
            damaged[dice.randrange(len(damaged))] = dice.randrange(256)
        with suppress(ImageError):
            assert decode(bytes(damaged), limits=ImageLimits(max_pixels=1_000_000)).mode == "RGB"


def test_too_many_bytes_are_refused() -> None:
    data = encode(gradient())

    with pytest.raises(ImageTooLarge, match="bytes"):
        decode(data, limits=ImageLimits(max_bytes=len(data) - 1))


@pytest.mark.parametrize("size", [(60_000, 60_000), (19_000, 19_000), (20_001, 100)])
def test_a_bomb_is_refused_by_its_header(size: tuple[int, int]) -> None:
    with pytest.raises(ImageTooLarge, match=f"{size[0]} x {size[1]}"):
        decode(png_that_claims(*size), limits=LIMITS)


def test_limits_above_pillows_own_are_honoured() -> None:
    generous = ImageLimits(max_pixels=10**9)

    assert inspect(png_that_claims(15_000, 15_000), limits=generous).width == 15_000


@pytest.mark.parametrize("size", [(1, 1), (7, 100), (10_000, 1), (210, 10)])
def test_degenerate_images_are_refused(size: tuple[int, int]) -> None:
    with pytest.raises(ImageTooSmall, match=f"{size[0]} x {size[1]}"):
        decode(encode(Image.new("RGB", size)), limits=LIMITS)
