"""Files that are whole images in an uncommon form are read; others are refused by their name."""

from __future__ import annotations

import io
import struct
import sys
import zlib
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image
from support.tiff_files import tiff

from backend import images
from backend.errors import CorruptImage, ImageTooLarge, NotAnImage
from backend.images import ImageLimits, jpeg
from backend.images.decode import decode, inspect

LIMITS = ImageLimits()
ROWS, COLUMNS = np.mgrid[0:80, 0:60]
PIXELS = np.stack([ROWS * 3, COLUMNS * 4, 255 - ROWS], axis=-1).astype(np.uint8)
GREY = (ROWS * 3 + 9).astype(np.uint8)
JPEGS = [{}, {"progressive": True}, {"subsampling": 0}, {"restart_marker_rows": 1}]


def encode(image: Image.Image, format: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def difference(one: Image.Image, other: npt.NDArray[np.uint8]) -> float:
    return float(np.abs(np.asarray(one, float) - other).mean())


def grey(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    return np.stack([pixels] * 3, axis=-1)


def noise(width: int = 300, height: int = 400) -> Image.Image:
    dice = np.random.default_rng(5)
    return Image.fromarray(dice.integers(0, 256, (height, width, 3), np.uint8))


# --- TIFF ------------------------------------------------------------------------------------

NONE, DEFLATE = 1, 8


def planes(pixels: npt.NDArray[np.uint8], order: str, bits: int, compression: int) -> list[bytes]:
    """Each channel on its own, of 8 or 16 bits."""
    kind = (
        np.uint8 if bits == 8 else np.dtype(np.uint16).newbyteorder("<" if order == "II" else ">")
    )
    scale = 1 if bits == 8 else 257
    channels = pixels if pixels.ndim == 3 else pixels[..., None]
    raw = [
        (channels[..., n].astype(kind) * scale).astype(kind).tobytes()
        for n in range(channels.shape[2])
    ]
    return raw if compression == NONE else [zlib.compress(plane) for plane in raw]


@pytest.mark.parametrize("compression", [NONE, DEFLATE])
@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("order", ["II", "MM"])
def test_a_tiff_with_a_plane_for_each_channel_is_read(
    order: str, bits: int, compression: int
) -> None:
    form = {"order": order, "bits": bits, "compression": compression}
    rgb = tiff(60, 80, planes(PIXELS, order, bits, compression), samples=3, **form)
    opaque = np.dstack([PIXELS, np.full((80, 60), 255, np.uint8)])
    alpha = tiff(60, 80, planes(opaque, order, bits, compression), samples=4, extra=2, **form)
    inks = np.dstack([255 - PIXELS, np.zeros((80, 60), np.uint8)])
    cmyk = tiff(60, 80, planes(inks, order, bits, compression), samples=4, colours=5, **form)

    for data in (rgb, alpha, cmyk):
        assert difference(decode(data, limits=LIMITS), PIXELS) < 0.01


@pytest.mark.parametrize("compression", [NONE, DEFLATE])
@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("order", ["II", "MM"])
def test_a_tiff_in_which_zero_is_white_is_no_negative(
    order: str, bits: int, compression: int
) -> None:
    form = {"order": order, "bits": bits, "compression": compression}
    white = tiff(60, 80, planes(255 - GREY, order, bits, compression), colours=0, **form)
    black = tiff(60, 80, planes(GREY, order, bits, compression), colours=1, **form)

    assert difference(decode(white, limits=LIMITS), grey(GREY)) < 0.01
    assert difference(decode(black, limits=LIMITS), grey(GREY)) < 0.01


def test_twelve_bits_of_grey_are_not_nearly_black() -> None:
    bits = "".join(format(int(value) * 4095 // 255, "012b") for value in GREY.ravel())
    packed = int(bits, 2).to_bytes(len(bits) // 8, "big")

    decoded = decode(tiff(60, 80, [packed], bits=12, colours=1), limits=LIMITS)

    assert difference(decoded, grey(GREY)) < 0.01


def test_a_tiff_in_lab_is_read() -> None:
    middle = bytes([128, 0, 0]) * 4800

    decoded = decode(tiff(60, 80, [middle], samples=3, colours=8), limits=LIMITS)

    assert difference(decoded, np.full((80, 60, 3), 119, np.uint8)) < 2


def test_planes_that_would_be_mixed_up_are_refused() -> None:
    data = tiff(60, 80, [GREY.tobytes(), b"\xff" * 4800], samples=2, colours=1, extra=2)

    with pytest.raises(NotAnImage, match="plane for each channel"):
        decode(data, limits=LIMITS)


@pytest.mark.parametrize(
    ("form", "reason"),
    [
        ({"bits": 32, "sample_format": 3, "samples": 3}, "floating-point numbers of 32 bits"),
        ({"bits": 64, "sample_format": 3, "colours": 1}, "floating-point numbers of 64 bits"),
        ({"compression": 34712, "samples": 3}, "compressed by JPEG 2000"),
        ({"compression": 50002, "samples": 3}, "compressed by JPEG XL"),
        ({"compression": 12345, "samples": 3}, "compressed by method 12345"),
        ({"bits": 32, "samples": 3}, "32 bits a channel and RGB"),
        ({"bits": 16, "samples": 3, "sample_format": 2}, "signed numbers of 16 bits"),
        (
            {"bits": 16, "samples": 2, "colours": 1, "extra": 2},
            "16 bits a channel and grey and a further channel",
        ),
        ({"colours": 32803, "bits": 14}, "14 bits a channel and a camera's raw colours"),
    ],
)
def test_a_tiff_of_an_unsupported_kind_is_refused_by_its_kind(
    form: dict[str, int], reason: str
) -> None:
    with pytest.raises(NotAnImage, match=f"a TIFF .*{reason}"):
        decode(tiff(60, 80, [bytes(60 * 80 * 12)], **form), limits=LIMITS)


# --- files that were changed on their way ------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda data: data.replace(b"\n", b"\r\n"), id="line ends"),
        pytest.param(lambda data: data.decode("latin-1").encode(), id="encoded as UTF-8"),
        pytest.param(lambda data: data.decode("utf-8", "replace").encode(), id="replaced"),
    ],
)
@pytest.mark.parametrize("form", ["JPEG", "PNG"])
def test_an_image_that_was_copied_as_text_is_named(
    form: str, change: Callable[[bytes], bytes]
) -> None:
    noise = np.random.default_rng(7).integers(0, 255, (120, 120, 3), np.uint8)
    data = encode(Image.fromarray(noise), form)
    assert decode(data, limits=LIMITS).size == (120, 120)

    with pytest.raises((CorruptImage, NotAnImage), match=r"as if it were text.*as a binary file"):
        decode(change(data), limits=LIMITS)


def test_a_webp_that_is_cut_off_says_how_much_is_there() -> None:
    data = encode(Image.fromarray(PIXELS), "WEBP")

    with pytest.raises(CorruptImage, match=rf"cut off: 100 of {len(data):,} bytes are there"):
        decode(data[:100], limits=LIMITS)


# --- PNG -------------------------------------------------------------------------------------


def chunk(kind: bytes, body: bytes, *, checksum: int | None = None) -> bytes:
    found = zlib.crc32(kind + body) if checksum is None else checksum
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", found)


def with_chunks(*chunks: bytes, late: bool = False) -> bytes:
    """A PNG with more chunks behind its header, or before its end."""
    data = encode(Image.fromarray(PIXELS), "PNG")
    at = len(data) - 12 if late else 8 + 25
    return data[:at] + b"".join(chunks) + data[at:]


PACKED = zlib.compress(bytes(3_000_000))
USELESS = {
    "zTXt": chunk(b"zTXt", b"Comment\0\0" + PACKED),
    "iTXt": chunk(b"iTXt", b"Comment\0\1\0\0\0" + PACKED),
    "tEXt": chunk(b"tEXt", b"Comment\0" + b"x" * 3_000_000),
    "iCCP": chunk(b"iCCP", b"huge\0\0" + PACKED),
    "method": chunk(b"iCCP", b"profile\0\7" + zlib.compress(b"x")),
    "text method": chunk(b"zTXt", b"Comment\0\7" + zlib.compress(b"x")),
    "short gAMA": chunk(b"gAMA", b"\0\0"),
    "short cHRM": chunk(b"cHRM", b"\0\0"),
    "short pHYs": chunk(b"pHYs", b"\0\0"),
    "checksum": chunk(b"tEXt", b"Comment\0hello", checksum=1),
}


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("name", USELESS)
def test_what_is_no_pixel_does_not_spoil_a_png(name: str, late: bool) -> None:
    data = with_chunks(USELESS[name], late=late)

    assert difference(decode(data, limits=LIMITS), PIXELS) == 0
    assert inspect(data, limits=LIMITS).width == 60


def test_many_texts_are_no_more_than_one() -> None:
    text = chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(1_000_000)))

    assert difference(decode(with_chunks(*[text] * 80), limits=LIMITS), PIXELS) == 0


def test_a_png_is_still_turned_by_its_exif() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    data = with_chunks(USELESS["zTXt"], chunk(b"eXIf", exif.tobytes()[6:]))

    assert inspect(data, limits=LIMITS).width == 80


def test_damaged_pixels_of_a_png_are_still_damaged() -> None:
    data = with_chunks(USELESS["zTXt"])

    for damage in (data[: data.index(b"IDAT") + 60], data.replace(b"IHDR", b"IHDX")):
        with pytest.raises(CorruptImage):
            decode(damage, limits=LIMITS)


# --- JPEG ------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", JPEGS)
@pytest.mark.parametrize("missing", [1, 2])
def test_a_jpeg_may_lack_its_end_marker(options: dict[str, object], missing: int) -> None:
    data = encode(noise(), "JPEG", **options)
    whole = decode(data, limits=LIMITS)

    assert decode(data[:-missing], limits=LIMITS) == whole
    assert decode(data[:-2] + bytes(5000), limits=LIMITS) == whole
    small = decode(data[:-missing], limits=LIMITS, target=(40, 40))
    assert small == decode(data, limits=LIMITS, target=(40, 40))


def test_the_last_pixels_of_a_jpeg_may_be_missing() -> None:
    data = encode(noise(), "JPEG")

    decoded = decode(data[:-100], limits=LIMITS)

    assert difference(decoded, np.asarray(decode(data, limits=LIMITS))) < 0.2


@pytest.mark.parametrize("options", JPEGS)
@pytest.mark.parametrize("share", [0.3, 0.7, 0.9, 0.97])
def test_a_jpeg_that_lost_more_is_corrupt(options: dict[str, object], share: float) -> None:
    for image in (noise(), Image.new("RGB", (300, 400), "white"), Image.fromarray(PIXELS)):
        data = encode(image, "JPEG", **options)
        with pytest.raises(CorruptImage):
            decode(data[: int(share * len(data))], limits=LIMITS)


def test_a_progressive_jpeg_that_lost_whole_scans_is_corrupt() -> None:
    data = encode(noise(), "JPEG", progressive=True)
    scans = [at for at in range(len(data) - 1) if data[at : at + 2] == b"\xff\xda"]

    for start in scans[1:]:
        with pytest.raises(CorruptImage):
            decode(data[:start], limits=LIMITS)


def large_jpeg(side: int, **options: object) -> bytes:
    return encode(Image.linear_gradient("L").resize((side, side)), "JPEG", **options)


def test_a_photograph_is_only_too_large_if_it_does_not_fit_at_a_reduced_scale() -> None:
    limits = ImageLimits(max_pixels=300_000)
    data = large_jpeg(3000)

    decoded = decode(data, limits=limits, target=(64, 64))

    with_all_pixels = decode(data, limits=LIMITS, target=(64, 64))
    assert difference(decoded, np.asarray(with_all_pixels)) < 2
    assert inspect(data, limits=limits).width == 3000
    assert decode(data, limits=limits, target=(1000, 1000)).size == (1000, 1000)
    with pytest.raises(ImageTooLarge, match="3000 x 3000"):
        decode(data, limits=limits)


def test_a_jpeg_that_is_too_large_at_every_scale_is_refused() -> None:
    limits = ImageLimits(max_pixels=100_000)

    with pytest.raises(ImageTooLarge, match="3000 x 3000"):
        decode(large_jpeg(3000), limits=limits, target=(64, 64))
    with pytest.raises(ImageTooLarge, match="3000 x 3000"):
        inspect(large_jpeg(3000), limits=limits)


def test_a_progressive_jpeg_counts_more_since_all_of_it_is_in_memory() -> None:
    limits = ImageLimits(max_pixels=300_000)

    with pytest.raises(ImageTooLarge, match="3000 x 3000"):
        decode(large_jpeg(3000, progressive=True), limits=limits, target=(64, 64))
    assert decode(large_jpeg(900, progressive=True), limits=limits, target=(64, 64))


def lossless_jpeg(pixels: npt.NDArray[np.uint8]) -> bytes:
    """Predict each value by its left neighbour, the first of a row by the one above (SOF3)."""
    height, width = pixels.shape
    values = pixels.astype(int)
    before = np.empty_like(values)
    before[:, 1:] = values[:, :-1]
    before[1:, 0] = values[:-1, 0]
    before[0, 0] = 128
    bits = ""
    for change in (values - before).ravel():
        size = int(abs(change)).bit_length()
        bits += format(size, "04b")  # a code of four bits for each of nine sizes
        if size:
            bits += format(change if change > 0 else change + (1 << size) - 1, f"0{size}b")
    bits += "1" * (-len(bits) % 8)
    scan = int(bits, 2).to_bytes(len(bits) // 8, "big").replace(b"\xff", b"\xff\0")

    def segment(marker: int, body: bytes) -> bytes:
        return struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body

    return (
        b"\xff\xd8"
        + segment(0xC3, struct.pack(">BHHB3B", 8, height, width, 1, 1, 0x11, 0))
        + segment(0xC4, bytes([0, 0, 0, 0, 9, *[0] * 12, *range(9)]))
        + segment(0xDA, bytes([1, 1, 0, 1, 0, 0]))
        + scan
        + b"\xff\xd9"
    )


def test_a_lossless_jpeg_is_read_at_any_size() -> None:
    pixels = np.add.outer(np.arange(120) // 4, np.arange(100) // 5).astype(np.uint8)
    data = lossless_jpeg(pixels)

    assert difference(decode(data, limits=LIMITS), grey(pixels)) == 0
    assert decode(data, limits=LIMITS, target=(40, 30)).size == (30, 40)


@pytest.mark.parametrize(
    ("at", "value", "reason"),
    [(0, 0xF7, "JPEG-LS"), (0, 0xC5, "SOF5"), (0, 0xCB, "SOF11"), (3, 12, "12 bits")],
)
def test_a_jpeg_of_an_unsupported_kind_is_refused_by_its_kind(
    at: int, value: int, reason: str
) -> None:
    data = bytearray(encode(noise(), "JPEG"))
    data[data.index(b"\xff\xc0") + 1 + at] = value

    frame = jpeg.read_frame(bytes(data))
    assert frame is not None
    assert reason in str(frame.unsupported)
    with pytest.raises(NotAnImage, match=f"{reason}.* is not supported"):
        decode(bytes(data), limits=LIMITS)


# --- HEIC ------------------------------------------------------------------------------------


def heic(image: Image.Image, **options: object) -> bytes:
    heif = pytest.importorskip("pillow_heif")
    buffer = io.BytesIO()
    heif.from_pillow(image).save(buffer, quality=90, **options)
    return buffer.getvalue()


def test_heic_is_read_with_its_extra() -> None:
    data = heic(Image.fromarray(PIXELS))

    assert difference(decode(data, limits=LIMITS), PIXELS) < 6
    assert decode(data, limits=LIMITS, target=(32, 24)).size == (24, 32)
    assert inspect(data, limits=LIMITS) == images.ImageInfo(format="HEIF", width=60, height=80)
    assert images.media_type(data) == "image/heic"


def test_heic_without_its_extra_names_both(monkeypatch: pytest.MonkeyPatch) -> None:
    data = heic(Image.fromarray(PIXELS))
    monkeypatch.setitem(sys.modules, "pillow_heif", None)

    with pytest.raises(NotAnImage, match=r"HEIC.*extra 'heif'"):
        decode(data, limits=LIMITS)


def test_heic_is_within_the_limits_before_it_is_decoded() -> None:
    data = heic(Image.fromarray(PIXELS))

    with pytest.raises(ImageTooLarge, match="60 x 80"):
        decode(data, limits=ImageLimits(max_pixels=4000))
    for share in (0.05, 0.3, 0.6, 0.9):
        with pytest.raises(CorruptImage):
            decode(data[: int(share * len(data))], limits=LIMITS)


# --- names -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (b"\xff\x0a" + bytes(50), "JPEG XL"),
        (b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(50), "JPEG XL"),
        (b'<?xml version="1.0"?>\n<!-- a --><svg xmlns="">', "SVG"),
        (b"  <svg/>", "SVG"),
        (b"\xef\xbb\xbf<!DOCTYPE html><html>", "HTML"),
        (b"<HTML><body>404", "HTML"),
        (b"<Error><Code>AccessDenied</Code></Error>", "XML"),
        (b"%PDF-1.7 ", "PDF"),
        (b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG 2000"),
        (b"8BPS\0\1" + bytes(50), "a Photoshop document"),
        (b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom", "a video"),
        (b'{"error": "not found"}', "JSON"),
        (b"404 Not Found", "a text"),
        (bytes(500), "nothing but zeros"),
        (b"version https://git-lfs.github.com/spec/v1\noid", "a pointer of Git LFS"),
        (b"data:image/png;base64,iVBOR", "an image in Base64, written as text"),
        (b"/9j/4AAQSkZJRgABAQ", "an image in Base64, written as text"),
        (b"P6\n2 2\n255\n" + bytes(12), "a Netpbm image"),
        (b"\xef\xbf\xbd\xef\xbf\xbd" + bytes(50), "an image that a program has changed"),
        (b"\r\n\xff\xd8\xff\xe0" + bytes(50), "a JPEG image behind 2 other bytes"),
    ],
)
def test_what_is_not_supported_is_named(data: bytes, name: str) -> None:
    with pytest.raises(NotAnImage, match=f"the file is {name}.*, which is not one of JPEG, PNG"):
        decode(data, limits=LIMITS)


@pytest.mark.parametrize(
    ("data", "advice"),
    [
        (b"<html>404</html>", "an error or a page stands in its place"),
        (b"\x1f\x8b\x08" + bytes(50), "unpack it"),
        (b"version https://git-lfs.github.com/spec/v1", "git lfs pull"),
        (b"\n\n\x89PNG\r\n\x1a\n" + bytes(50), "remove them"),
        (b"8BPS\0\1" + bytes(50), "save it as JPEG, PNG or WebP"),
    ],
)
def test_the_error_says_what_to_do(data: bytes, advice: str) -> None:
    with pytest.raises(NotAnImage, match=f"; .*{advice}"):
        decode(data, limits=LIMITS)


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (b"\xff\xd8\xff\xe0" + bytes(3), "JPEG"),
        (b"\x89PNG\n\x1a\n" + bytes(50), "PNG"),
        (b"\0\0\0\x1cftypavif\0\0\0\0avifmif1miaf" + bytes(50), "AVIF"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(50), "HEIC"),
    ],
)
def test_a_damaged_header_names_the_format(data: bytes, name: str) -> None:
    with pytest.raises(CorruptImage, match=f"the header of the {name} image is damaged"):
        decode(data, limits=LIMITS)


def test_every_file_that_is_decoded_has_a_media_type() -> None:
    image = Image.fromarray(PIXELS)
    files = {kind: encode(image, kind) for kind in images.FORMATS}
    files["BigTIFF"] = encode(image, "TIFF", big_tiff=True)
    files["sequence"] = encode(image, "AVIF", save_all=True, append_images=[image])
    files["MM"] = tiff(60, 80, [PIXELS.tobytes()], order="MM", samples=3)

    for data in files.values():
        assert decode(data, limits=LIMITS).size == (60, 80)
    found = {name: images.media_type(data) for name, data in files.items()}
    others = {"BigTIFF": "image/tiff", "sequence": "image/avif", "MM": "image/tiff"}
    assert found == {name: f"image/{name.lower()}" for name in images.FORMATS} | others
