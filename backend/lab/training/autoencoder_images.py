"""Images that show what an autoencoder learned: its reconstructions, and its layers' maps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from backend.embedders.autoencoder import INPUT_SIZE, Autoencoder
from backend.embedders.pixels import Pixels, to_pixels

Maps: TypeAlias = npt.NDArray[np.floating[Any]]
"""(height, width) or (channels, height, width), of any range."""

_VIRIDIS: Final = (  # matplotlib's colour map (CC0), every sixteenth of it
    "440154 48186a 472d7b 424086 3b528b 33638d 2c728e 26828e 21918c"
    " 1fa088 28ae80 3fbc73 5ec962 84d44b addc30 d8e219 fde725"
)
_TILE: Final = 96  # pixels
_GAP: Final = 4
_LABEL: Final = 112


def viridis(values: Maps) -> Pixels:
    """Colour values from 0 (dark violet) to 1 (yellow): (…, 3) uint8."""
    anchors = np.array([list(bytes.fromhex(colour)) for colour in _VIRIDIS.split()], np.float64)
    positions = np.linspace(0, 1, len(anchors))
    channels = [np.interp(values, positions, anchors[:, channel]) for channel in range(3)]
    return np.stack(channels, axis=-1).round().astype(np.uint8)


def to_colours(images: Sequence[Image.Image], device: torch.device) -> Tensor:
    """Return the network's input: (n, 3, 128, 128) float32 from 0 to 1."""
    sent = torch.from_numpy(to_pixels(images, INPUT_SIZE))
    if device.type == "cuda":
        sent = sent.pin_memory()
    pixels = sent.to(device, non_blocking=True)
    return pixels.permute(0, 3, 1, 2).float() / 255  # so it is channels_last


@torch.inference_mode()
def draw_reconstructions(model: Autoencoder, images: Sequence[Image.Image]) -> Image.Image:
    """Draw images in a row, and below each its reconstruction."""
    model.eval()
    originals = to_colours(images, _device(model))
    rows = [_to_images(originals), _to_images(model(originals))]
    height, width = INPUT_SIZE
    sheet = _blank(len(images) * (width + _GAP), 2 * (height + _GAP))
    for row, row_images in enumerate(rows):
        for column, image in enumerate(row_images):
            sheet.paste(image, (column * (width + _GAP), row * (height + _GAP)))
    return sheet


@torch.inference_mode()
def draw_layers(model: Autoencoder, image: Image.Image, *, maps: int = 8) -> Image.Image:
    """Draw the maps that vary most of each layer of the encoder, one row for a layer, in viridis.

    Each map is scaled to its own range. A code of one pixel for each map is drawn as one strip.
    """
    model.eval()
    colours = to_colours([image], _device(model))
    original = _to_images(colours)[0]
    sheet = _blank(_LABEL + maps * (_TILE + _GAP), (len(model.encoder) + 1) * (_TILE + _GAP))
    _place(sheet, 0, "input\n3 x 128 x 128", [original])
    for row, layer in enumerate(model.encoder, 1):
        colours = layer(colours)
        channels, height, width = colours.shape[1:]
        label = f"layer {row}\n{channels} x {height} x {width}"
        layer_maps = colours[0].float().cpu().numpy()
        _place(sheet, row, label, _show(layer_maps, maps))
    return sheet


def _device(model: Autoencoder) -> torch.device:
    return next(model.parameters()).device


def _to_images(colours: Tensor) -> list[Image.Image]:
    pixels = (colours.clamp(0, 1) * 255).round().byte().permute(0, 2, 3, 1).cpu().numpy()
    return [Image.fromarray(one) for one in pixels]


def _blank(width: int, height: int) -> Image.Image:
    return Image.new("RGB", (width - _GAP, height - _GAP), "white")


def _show(layer_maps: Maps, count: int) -> list[Image.Image]:
    if layer_maps[0].size == 1:
        strip = layer_maps.reshape(8, -1)
        width = count * (_TILE + _GAP) - _GAP
        return [Image.fromarray(viridis(_scaled(strip))).resize((width, _TILE), 0)]
    strongest = np.argsort(-layer_maps.std(axis=(1, 2)), kind="stable")[:count]
    return [Image.fromarray(viridis(_scaled(layer_maps[channel]))) for channel in strongest]


def _scaled(values: Maps) -> Maps:
    low, high = values.min(), values.max()
    scaled: Maps = (values - low) / max(high - low, np.finfo(np.float32).tiny)
    return scaled


def _place(sheet: Image.Image, row: int, label: str, images: Sequence[Image.Image]) -> None:
    top = row * (_TILE + _GAP)
    ink = ImageDraw.Draw(sheet)
    ink.multiline_text((2 * _GAP, top + _TILE // 3), label, "black", ImageFont.load_default(13))
    for column, image in enumerate(images):
        height = _TILE
        width = max(_TILE, image.width if image.height == _TILE else 0)
        shown = image.resize((width, height), Image.Resampling.NEAREST)
        sheet.paste(shown, (_LABEL + column * (_TILE + _GAP), top))
