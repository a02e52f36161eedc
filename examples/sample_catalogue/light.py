"""Light from the upper left: relief, creases, highlights, and the shadow on the paper."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from random import Random

from PIL import Image, ImageChops, ImageDraw, ImageFilter

from sample_catalogue.fabric import SCALE
from sample_catalogue.pencil import Path

_NEUTRAL = 128  # the grey that leaves a colour alone in hard light


def light_on(
    mask: Image.Image, *, relief: float, creases: Sequence[Path], gloss: float
) -> Image.Image:
    """Return the light on a piece of this silhouette, an L image for `ImageChops.hard_light`.

    128 leaves a colour alone, less is darker, more is brighter. `creases` are in drawn pixels
    from the piece's corner.
    """
    light = _relief(mask, relief)
    for layer in (_creases(mask.size, creases), _grain(mask.size), _shine(mask.size, gloss)):
        if layer:
            light = ImageChops.add(light, layer, offset=-_NEUTRAL)
    return light


def _relief(mask: Image.Image, strength: float) -> Image.Image:
    """Round the piece: bright slopes at the upper left, dark at the lower right and the edges."""
    width, height = mask.size
    pad = round(min(max(min(width, height) * 0.16, 3), 30))
    padded = Image.new("L", (width + 2 * pad, height + 2 * pad), 0)
    padded.paste(mask, (pad, pad))
    inner = blur(padded, pad * 0.62).crop((pad, pad, pad + width, pad + height))
    step = max(pad // 3, 1)
    slope = ImageChops.subtract(
        ImageChops.offset(inner, -step, -step),
        ImageChops.offset(inner, step, step),
        scale=3.2 / max(strength, 0.05),
        offset=_NEUTRAL,
    )
    edge = inner.point([round(_NEUTRAL - strength * 52 * (1 - v / 255)) for v in range(256)])
    return ImageChops.add(slope, edge, offset=-_NEUTRAL)


def _creases(size: tuple[int, int], creases: Sequence[Path]) -> Image.Image | None:
    """Draw each crease as a dark valley with a bright ridge to its left."""
    if not creases:
        return None
    layer = Image.new("L", size, _NEUTRAL)
    draw = ImageDraw.Draw(layer)
    for shade, offset in ((_NEUTRAL + 34, -2 * SCALE), (_NEUTRAL - 48, 0)):
        for crease in creases:
            points = [(x + offset, y) for x, y in crease]
            draw.line(points, fill=shade, width=2 * SCALE, joint="curve")
    return blur(layer, 1.7 * SCALE)


def _shine(size: tuple[int, int], gloss: float) -> Image.Image | None:
    """Draw a soft window in the upper left quarter."""
    if not gloss:
        return None
    width, height = size
    layer = Image.new("L", size, _NEUTRAL)
    window = (width * 0.12, height * 0.08, width * 0.55, height * 0.42)
    ImageDraw.Draw(layer).ellipse(window, fill=_NEUTRAL + round(110 * gloss))
    return blur(layer, max(min(size) * 0.12, 1))


def _grain(size: tuple[int, int]) -> Image.Image:
    return _weave().crop((0, 0, *size))


@cache
def _weave() -> Image.Image:
    """Draw the fine unevenness of cloth; the same in every run."""
    specks = Image.frombytes("L", (256, 256), Random(3).randbytes(256 * 256))
    soft = specks.filter(ImageFilter.GaussianBlur(0.9))
    weave = Image.new("L", (1024, 1024))
    for x in range(0, 1024, 256):
        for y in range(0, 1024, 256):
            weave.paste(soft, (x, y))
    return weave.point([round(_NEUTRAL + (v - 127) * 0.09) for v in range(256)])


def shadow_on_paper(bare: Image.Image) -> Image.Image:
    """Return the light on the paper, 255 full; `bare` is where the paper is not covered."""
    near = _fallen(bare, radius=2.4, drop=4).point(_fade(0.2))
    far = _fallen(bare, radius=6, drop=9).point(_fade(0.14))
    return ImageChops.multiply(near, far)


def _fallen(bare: Image.Image, *, radius: float, drop: int) -> Image.Image:
    moved = Image.new("L", bare.size, 255)
    moved.paste(bare, (round(drop * 0.4), drop))
    return moved.filter(ImageFilter.GaussianBlur(radius))


def _fade(strength: float) -> list[int]:
    return [round(255 - strength * (255 - v)) for v in range(256)]


def blur(image: Image.Image, radius: float) -> Image.Image:
    """Blur a large mask at a fraction of its size: nobody can tell, and it is ten times faster."""
    step = max(1, min(int(radius / 2), *(side // 4 for side in image.size), 8))
    small = image.reduce(step).filter(ImageFilter.GaussianBlur(radius / step))
    return small.resize(image.size, Image.Resampling.BILINEAR)
