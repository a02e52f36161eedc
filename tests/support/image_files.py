"""Image files for tests: of one colour, of noise, big ones, and a little like photographs."""

from __future__ import annotations

import io
import random

import numpy as np
from PIL import Image, ImageDraw


def encoded(image: Image.Image, format: str = "PNG") -> bytes:
    """Return an image's file."""
    file = io.BytesIO()
    image.save(file, format)
    return file.getvalue()


def colour_image(colour: str, *, size: tuple[int, int] = (30, 40), format: str = "PNG") -> bytes:
    return encoded(Image.new("RGB", size, colour), format)


def random_image(seed: int) -> bytes:
    """A small JPEG unlike any other seed's."""
    pixels = random.Random(seed).randbytes(72)
    return encoded(Image.frombytes("RGB", (4, 6), pixels).resize((48, 64)), "JPEG")


def big_image(seed: int) -> bytes:
    """A small file that takes a good part of a second to decode."""
    return encoded(Image.new("RGB", (3500, 3500), (seed % 256, seed // 256 % 256, 40)))


def garment(seed: int, width: int = 180, height: int = 240) -> Image.Image:
    """Draw a patterned shape on white; another seed, another garment."""
    dice = np.random.default_rng(seed)
    image = Image.new("RGB", (width, height), "white")
    pencil = ImageDraw.Draw(image)
    colours = [tuple(int(c) for c in dice.integers(0, 230, 3)) for _ in range(3)]
    left, right = (int(dice.integers(*span)) for span in ((15, 60), (110, 160)))
    pencil.polygon([(left, 40), (right, 30), (right - 10, 220), (left + 20, 225)], colours[0])
    for row in range(60, 210, int(dice.integers(9, 40))):
        pencil.line([(left + 20, row), (right - 20, row + 9)], colours[1], int(dice.integers(1, 9)))
    pencil.ellipse([left + 20, 50, left + 50, 90], colours[2])
    noise = Image.effect_noise((width, height), 12).convert("RGB")
    return Image.blend(image, noise, 0.06)


GARMENTS = [garment(seed) for seed in range(12)]
