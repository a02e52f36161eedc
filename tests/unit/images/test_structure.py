"""A small file of very many parts is refused before a decoder spends minutes on it."""

from __future__ import annotations

import io

import pytest
from support.image_bombs import (
    chunk,
    gif_of_blocks,
    jpeg_of_scans,
    jpeg_of_segments,
    long_text,
    png_with,
    tiff_of_tags,
)
from support.image_files import garment

from backend import images
from backend.errors import ImageTooLarge
from backend.images import png
from backend.images.limits import ImageLimits
from backend.images.structure import (
    MAX_BLOCKS,
    MAX_CHUNKS,
    MAX_SCANS,
    MAX_SEGMENTS,
    MAX_TAGS,
)

LIMITS = ImageLimits()
NO_PIXELS = chunk(b"IDAT", b"")

BOMBS = {
    "a JPEG of many scans": (jpeg_of_scans(MAX_SCANS + 1), "scans"),
    "a JPEG of many segments": (jpeg_of_segments(MAX_SEGMENTS + 1), "segments"),
    "a PNG of many chunks": (png_with(NO_PIXELS * (MAX_CHUNKS + 1)), "chunks"),
    "a GIF of many comments": (gif_of_blocks(MAX_BLOCKS // 2 + 1), "blocks"),
    "a TIFF of many tags": (tiff_of_tags(MAX_TAGS), "tags"),
    "a TIFF of long tags": (tiff_of_tags(20, length=100_000), "bytes of tags"),
}


@pytest.mark.parametrize(("data", "what"), BOMBS.values(), ids=BOMBS)
def test_a_file_of_more_parts_than_any_real_one_is_refused(data: bytes, what: str) -> None:
    with pytest.raises(ImageTooLarge, match=what):
        images.inspect(data, limits=LIMITS)
    with pytest.raises(ImageTooLarge, match=what):
        images.decode(data, limits=LIMITS, target=(8, 8))


@pytest.mark.parametrize(
    "data",
    [
        jpeg_of_scans(MAX_SCANS),
        jpeg_of_segments(500),
        png_with(NO_PIXELS * 2000),
        gif_of_blocks(500),
        tiff_of_tags(200),
    ],
    ids=["JPEG of scans", "JPEG of segments", "PNG", "GIF", "TIFF"],
)
def test_a_file_of_many_parts_within_the_limits_is_read(data: bytes) -> None:
    assert images.decode(data, limits=LIMITS, target=(8, 8)).size == (8, 8)


def test_no_encoder_comes_near_the_limits() -> None:
    for options in (
        {"format": "JPEG", "progressive": True, "subsampling": 0, "icc_profile": b"x" * 4_000_000},
        {"format": "PNG"},
        {"format": "GIF", "save_all": True, "append_images": [garment(1)] * 50},
        {"format": "WEBP", "save_all": True, "append_images": [garment(1)] * 50},
        {"format": "TIFF", "save_all": True, "append_images": [garment(1)] * 50},
    ):
        file = io.BytesIO()
        garment(0).save(file, **options)
        assert images.decode(file.getvalue(), limits=LIMITS, target=(8, 8))


def test_only_so_many_extra_chunks_of_a_png_are_looked_at() -> None:
    texts = [chunk(b"tEXt", b"k\0%d" % number) for number in range(png.MAX_EXTRAS + 1)]

    cleaned = png.clean(png_with(b"".join(texts)))

    assert texts[png.MAX_EXTRAS - 1] in cleaned
    assert texts[png.MAX_EXTRAS] not in cleaned
    assert images.decode(cleaned, limits=LIMITS, target=(8, 8))


def test_only_so_much_of_a_pngs_texts_is_unpacked() -> None:
    """What is unpacked cannot be seen, but a text behind the limit is left out unread."""
    after = chunk(b"tEXt", b"k\0a short text")
    count = png.MAX_UNPACKED // png.MAX_TEXT

    assert after in png.clean(png_with(long_text() * (count - 1) + after))
    assert after not in png.clean(png_with(long_text() * count + after))
