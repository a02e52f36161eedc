"""A convolutional autoencoder, trained on a catalogue's own images.

There are two, for RGB images of 128 x 128. One has a code of 256 x 4 x 4 = 4096 numbers, after
seven convolutions and three poolings; the other of 512 x 1 x 1, after eight and four. For each
convolution the decoder has a transposed one. `backend.lab.training.autoencoder` trains them.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from torch import Tensor, nn

from backend.embedders.fingerprints import fingerprint
from backend.embedders.traced import TracedNetwork
from backend.embedders.tracing import trace
from backend.embedders.weights import read_tensors
from backend.errors import WeightsUnavailable

INPUT_SIZE: Final = (128, 128)  # (height, width) that images are stretched to


class Layer(NamedTuple):
    """One convolution of 3 x 3, with or without a pooling after it."""

    channels: int
    stride: int = 1
    pooled: bool = False  # by the maximum of each 2 x 2

    @property
    def shrinks(self) -> int:
        """By how much each side of its output is smaller than that of its input."""
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
"""Dimensions of the code -> the encoder's convolutions in their order."""


class Autoencoder(nn.Module):
    """An encoder and the decoder that mirrors it, layer by layer."""

    def __init__(self, dimensions: int) -> None:
        """Draw random weights for 512 or 4096 dimensions."""
        super().__init__()
        layers = LAYERS[dimensions]
        inputs = (3, *(layer.channels for layer in layers))
        steps = list(zip(inputs, layers, strict=False))
        last = len(layers) - 1
        self.encoder = nn.Sequential(
            *(_convolve(i, layer, is_code=n == last) for n, (i, layer) in enumerate(steps))
        )
        self.decoder = nn.Sequential(
            *(_transpose(i, layer, is_image=n == last) for n, (i, layer) in enumerate(steps[::-1]))
        )

    def forward(self, colours: Tensor) -> Tensor:
        """Encode and decode (n, 3, 128, 128), with values from 0 to 1."""
        decoded: Tensor = self.decoder(self.encoder(colours))
        return decoded


def _convolve(inputs: int, layer: Layer, *, is_code: bool) -> nn.Sequential:
    parts: list[nn.Module] = [
        nn.Conv2d(inputs, layer.channels, 3, stride=layer.stride, padding=1, bias=False),
        nn.BatchNorm2d(layer.channels),
    ]
    if not is_code:  # a ReLU would lose the signs of the code, and with them many directions
        parts.append(nn.ReLU())
    if layer.pooled:
        parts.append(nn.MaxPool2d(2))
    return nn.Sequential(*parts)


def _transpose(outputs: int, layer: Layer, *, is_image: bool) -> nn.Sequential:
    # Kernels whose overlaps are even.
    kernel, padding = {1: (3, 1), 2: (4, 1), 4: (4, 0)}[layer.shrinks]
    convolution = nn.ConvTranspose2d(
        layer.channels, outputs, kernel, layer.shrinks, padding, bias=is_image
    )
    if is_image:
        return nn.Sequential(convolution, nn.Sigmoid())
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs), nn.ReLU())


def make(*, path: str) -> TracedNetwork:
    """Trace the encoder of a file of weights for `autoencoder_code`."""
    model, _ = read_model(Path(path))
    graph = trace(model.encoder, INPUT_SIZE)
    recipe = {"family": "autoencoder", "input_size": INPUT_SIZE, "resampling": "bicubic"}
    arrays = {name: tensor.cpu().numpy() for name, tensor in graph.state_dict().items()}
    return TracedNetwork(
        graph=graph,
        fingerprint=fingerprint(recipe, arrays),
        mean=(0, 0, 0),
        std=(255, 255, 255),
        pool="none",
        input_size=INPUT_SIZE,
    )


def model_file(model: Autoencoder, card: Mapping[str, Any]) -> dict[str, Any]:
    """Return the content of a file of weights; `card` has JSON values on how they were made."""
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
