"""The code of a convolutional autoencoder, trained on a catalogue's own pictures.

Two of them, for RGB pictures of 128 x 128: a code of 256 x 4 x 4 = 4096 numbers, behind seven
convolutions and three poolings, and one of 512 x 1 x 1, behind eight and four. Each convolution has
one transposed convolution that undoes it. `backend.lab.training.autoencoder` trains them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import quote

from PIL.Image import Image
from torch import Tensor, nn

from backend.embedders import Compute, FloatArray, register
from backend.embedders.fingerprints import fingerprint
from backend.embedders.network import Network, trace
from backend.embedders.pixels import normalise, to_pixels
from backend.embedders.weights import read_tensors
from backend.errors import UnknownEmbedder, WeightsUnavailable

INPUT_SIZE: Final = (128, 128)  # (height, width) that pictures are stretched to


class Layer(NamedTuple):
    """One convolution of 3 x 3, with or without a pooling after it."""

    channels: int
    stride: int = 1
    pooled: bool = False  # by maxima of 2 x 2

    @property
    def shrinks(self) -> int:
        """How many times smaller its maps are than its input, along each side."""
        return self.stride * (2 if self.pooled else 1)


_BASE: Final = (
    Layer(32, stride=2),
    Layer(32, pooled=True),
    Layer(64),
    Layer(64, pooled=True),
    Layer(128),
    Layer(128, pooled=True),
    Layer(256, stride=2),
)
LAYERS: Final[Mapping[int, tuple[Layer, ...]]] = {
    4096: _BASE,  # 256 x 4 x 4
    512: (*_BASE, Layer(512, stride=2, pooled=True)),  # 512 x 1 x 1
}
"""Dimensions of the code -> the encoder's convolutions, in order."""


class Autoencoder(nn.Module):
    """An encoder and the decoder that mirrors it, layer by layer."""

    def __init__(self, dimensions: int) -> None:
        """Draw the weights of the autoencoder of 512 or 4096 dimensions."""
        super().__init__()
        layers = LAYERS[dimensions]
        inputs = (3, *(layer.channels for layer in layers))
        steps = list(zip(inputs, layers, strict=False))
        last = len(layers) - 1
        self.encoder = nn.Sequential(
            *(_convolve(i, layer, is_code=n == last) for n, (i, layer) in enumerate(steps))
        )
        self.decoder = nn.Sequential(
            *(_undo(i, layer, is_picture=n == last) for n, (i, layer) in enumerate(steps[::-1]))
        )

    def forward(self, colours: Tensor) -> Tensor:
        """Encode and decode (n, 3, 128, 128), from 0 to 1, to the same."""
        decoded: Tensor = self.decoder(self.encoder(colours))
        return decoded


def _convolve(inputs: int, layer: Layer, *, is_code: bool) -> nn.Sequential:
    parts: list[nn.Module] = [
        nn.Conv2d(inputs, layer.channels, 3, stride=layer.stride, padding=1, bias=False),
        nn.BatchNorm2d(layer.channels),
    ]
    if not is_code:  # which keeps its signs: half as many directions would be lost without
        parts.append(nn.ReLU())
    if layer.pooled:
        parts.append(nn.MaxPool2d(2))
    return nn.Sequential(*parts)


def _undo(outputs: int, layer: Layer, *, is_picture: bool) -> nn.Sequential:
    kernel, padding = {1: (3, 1), 2: (4, 1), 4: (4, 0)}[layer.shrinks]  # no overlap is uneven
    convolution = nn.ConvTranspose2d(
        layer.channels, outputs, kernel, layer.shrinks, padding, bias=is_picture
    )
    if is_picture:
        return nn.Sequential(convolution, nn.Sigmoid())
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs), nn.ReLU())


class AutoencoderEmbedder:
    """Embed a picture as its code."""

    def __init__(self, model: Autoencoder, *, name: str, compute: Compute) -> None:
        self.name = name
        self.input_size = INPUT_SIZE
        graph = trace(model.encoder, INPUT_SIZE)
        recipe = {"family": "autoencoder", "input_size": INPUT_SIZE, "resampling": "bicubic"}
        arrays = {name: tensor.cpu().numpy() for name, tensor in graph.state_dict().items()}
        self.fingerprint = fingerprint(recipe, arrays)
        white = (255.0, 255.0, 255.0)
        self._network = Network(graph, mean=(0, 0, 0), std=white, pool="none", compute=compute)
        self.size = self._network.size
        self.batch_size = self._network.call_size

    def encode(self, images: Sequence[Image]) -> FloatArray:
        """Return the codes as they are, (n, size) float32, in input order."""
        return self._network(to_pixels(images, INPUT_SIZE))

    def embed(self, images: Sequence[Image]) -> FloatArray:
        """Embed images: (n, size) float32, L2-normalised, in input order."""
        return normalise(self.encode(images))


@register("autoencoder")
def load_autoencoder(variant: str, *, compute: Compute, weights: str = "") -> AutoencoderEmbedder:
    """Load what `lookalike train autoencoder` wrote: `autoencoder?weights=PATH`.

    The path may also stand behind the name, `autoencoder/PATH`. The file tells the dimensions.
    """
    if bool(variant) == bool(weights):
        raise UnknownEmbedder("name the trained weights: autoencoder?weights=PATH")
    path = Path(variant or weights)
    if not path.is_file():
        raise WeightsUnavailable(
            f"there are no weights at {path}; `lookalike train autoencoder` makes them"
        )
    model, _ = read_model(path)
    name = f"autoencoder?weights={quote(str(path), safe='/')}"
    return AutoencoderEmbedder(model, name=name, compute=compute)


def model_file(model: Autoencoder, card: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a file of weights holds; `card` tells how they were made, in plain values."""
    return {"autoencoder": model.state_dict(), "card": dict(card)}


def read_model(path: Path) -> tuple[Autoencoder, dict[str, Any]]:
    """Read a file of `model_file`: the autoencoder and its card. Raises WeightsUnavailable."""
    found = read_tensors(path)
    try:
        state, card = found["autoencoder"], found["card"]
        model = Autoencoder(card["dimensions"])
        model.load_state_dict(state)
    except (KeyError, TypeError, IndexError, RuntimeError, AttributeError) as error:
        reason = str(error).splitlines()[0]
        raise WeightsUnavailable(f"{path} holds no trained autoencoder: {reason}") from None
    return model.eval(), card
