"""The code of an autoencoder that `lookalike train autoencoder` has trained."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

from PIL.Image import Image

from backend.embedders import Block, Compute, FloatArray, register
from backend.embedders.engines import NetworkPlan, open_network
from backend.embedders.pixels import normalise, to_pixels
from backend.errors import UnknownEmbedder, WeightsUnavailable


class AutoencoderEmbedder:
    """Embeds an image as its code."""

    blocks: tuple[Block, ...] = ()

    def __init__(self, plan: NetworkPlan, *, name: str, compute: Compute) -> None:
        self.name = name
        opened = open_network(plan, compute)
        self._network = opened.run
        self.fingerprint = opened.fingerprint
        self.input_size = opened.input_size
        self.size = self._network.size
        self.batch_size = self._network.call_size

    def encode(self, images: Sequence[Image]) -> FloatArray:
        """Return the codes without normalising them, (n, size) float32, in input order."""
        return self._network(to_pixels(images, self.input_size))

    def embed(self, images: Sequence[Image]) -> FloatArray:
        """Embed images: (n, size) float32, L2-normalised, in input order."""
        return normalise(self.encode(images))


@register("autoencoder")
def load_autoencoder(variant: str, *, compute: Compute, weights: str = "") -> AutoencoderEmbedder:
    """Load what `lookalike train autoencoder` wrote: `autoencoder?weights=PATH`.

    `autoencoder/PATH` is the same. The number of dimensions is read from the file. Raises
    UnknownEmbedder where no path or two are named, and WeightsUnavailable.
    """
    if bool(variant) == bool(weights):
        raise UnknownEmbedder("name the trained weights: autoencoder?weights=PATH")
    path = Path(variant or weights)
    if not path.is_file():
        raise WeightsUnavailable(
            f"there are no weights at {path}; `lookalike train autoencoder` makes them"
        )
    plan = NetworkPlan(
        maker="backend.embedders.autoencoder:make", options={"path": str(path)}, files=(path,)
    )
    name = f"autoencoder?weights={quote(str(path), safe='/')}"
    return AutoencoderEmbedder(plan, name=name, compute=compute)
