"""Image -> vector. Torch and OpenVINO are imported only on `load`, torch also in `backend.lab`.

An embedder is named by a spec: `efficientnet-lite0`, `torchvision/resnet50?pool=max`. A generation
stores the spec, so it holds every option that changes the vector.

- families without a network: `mean_colour`, `pixel_baselines` (with `colour`)
- convolutional networks: `efficientnet_lite` and `torchvision_cnn` (with `cnn`), `tuned` (with
  `checkpoint`, `fusion`), `autoencoder_code`
- `lookalike_blocks`: blocks for look and colour, made from features that are kept (with
  `kept_features`, `kept_rows`, `block_statistics`, `foreground_colours`, `photographs`, `regions`)
- the same as torch has them, traced: `efficientnet_lite_model`, `torchvision_models`,
  `cnn_tracing`, `tuned_tracing`, `stacked_tracing` (with `backbones`, `split_network`),
  `region_head`, `autoencoder`, `traced`
- other networks, run as they are: `timm_model`, `open_clip_model` (with `untraced_network`)
- `engines`: which engine runs a traced network
  - OpenVINO: `exports`, `openvino_export`, `openvino_network`; they run without torch
  - torch: `network`, with `tracing`, `batch_norms`, `padding`, `bf16`, `devices`, `cuda_transfer`
- `gpus`, `processors`, `bf16_speed`: what this host has
- `numpy_threads`: the threads of what follows a network
- `pixels`, `pca`, `options`, `weights`, `fingerprints`: used by several families
- `words`: a text as a vector among those of images, with `minilm` and `bert_graph`
- `loaded`: the embedders that one process has loaded
- `available`: what families there are, for people
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from importlib import import_module
from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol, TypeAlias, runtime_checkable
from urllib.parse import parse_qsl

import numpy as np
import numpy.typing as npt
from PIL.Image import Image

from backend.errors import UnknownEmbedder

if TYPE_CHECKING:
    from backend.embedders.regions import FoundRegion

FloatArray: TypeAlias = npt.NDArray[np.float32]


class Block(NamedTuple):
    """A part of an embedder's vectors whose length is the same in all of them."""

    name: str  # look, colour
    start: int
    stop: int


class Embedder(Protocol):
    """Turns images into vectors. Safe to call from several threads."""

    name: str
    fingerprint: str  # hex digest of weights, preprocessing and head; not of device or precision
    size: int  # dimensions of the vector
    blocks: tuple[Block, ...]  # in order, covering the vector; () where no part's length is fixed
    input_size: tuple[int, int]  # (height, width) in pixels that images are best decoded to
    batch_size: int  # images that one call should hold on this device

    def embed(self, images: Sequence[Image]) -> FloatArray:
        """Embed RGB images of any size: (n, size) float32, L2-normalised, in input order."""
        ...


@runtime_checkable
class KeepsFeatures(Embedder, Protocol):
    """An embedder that can make vectors again without an image, by other statistics."""

    features_fingerprint: str  # of all that decides the features
    features_size: int  # numbers that this release keeps of an image

    def extract(self, images: Sequence[Image]) -> FloatArray:
        """Return the features that are kept of images, (n, features), exact in float16."""
        ...

    def extract_pixels(self, pixels: npt.NDArray[np.uint8]) -> FloatArray:
        """Do as `extract` for images of `input_size`: (n, height, width, 3) uint8, RGB."""
        ...

    def usable(self, features: Mapping[str, FloatArray]) -> dict[str, FloatArray]:
        """Return those of the kept features that `project` can read, in one length.

        What an earlier release has kept may be shorter.
        """
        ...

    def project(self, features: FloatArray) -> FloatArray:
        """Turn kept features (n, features) into vectors, (n, size) float32, L2-normalised.

        `embed` is `project` of `extract`.
        """
        ...


CATALOGUE: Final = "catalogue"
PHOTOGRAPH: Final = "photograph"
"""What kind of image a query is."""


class QueryImage(NamedTuple):
    """What an embedder made of a query image."""

    vector: FloatArray  # (size,)
    kind: str  # CATALOGUE or PHOTOGRAPH
    regions: Sequence[FoundRegion] = ()  # the surest first, a few at most
    own: FloatArray | None = None  # the vector as it is, without a class; None: it is `vector`
    composed: bool = False  # pasted together: its first region says more than the whole
    mask: FloatArray | None = None  # (rows, columns), logits: whether a point belongs to the thing
    doubtful: bool = False  # composed, if that is said of its first region and what is around it


@runtime_checkable
class TellsPhotographs(Embedder, Protocol):
    """An embedder that treats a person's photograph otherwise than a catalogue image."""

    def embed_query(self, image: Image) -> QueryImage:
        """Embed a query image, tell what kind it is, and find its regions."""
        ...


@dataclass(frozen=True, kw_only=True)
class Compute:
    """Where and how to run a network; never part of the fingerprint."""

    device: str = "auto"  # auto, cpu, cuda, cuda:1, mps
    precision: str = "auto"  # auto, bf16, fp32
    batch_size: int = 0  # images in one forward pass; 0: by device
    threads: int = 1  # of one pass on a CPU; 0: all processors that this process may use
    engine: str = "auto"  # auto: OpenVINO where it is installed and a CPU computes; torch
    networks_dir: Path | None = None  # of exported networks; None: in the user's cache


Factory: TypeAlias = Callable[..., Embedder]
FACTORIES: Final[dict[str, Factory]] = {}
"""What makes the embedders of a family; `register` adds to it."""

GIVEN: Final = ("compute", "read_statistics")
"""Keywords of factories that are no options."""

_DIGEST: Final = re.compile("[0-9a-f]{32,}")

_MODULES = {  # family -> the module whose import registers it
    "efficientnet-lite0": "efficientnet_lite",
    "torchvision": "torchvision_cnn",
    "autoencoder": "autoencoder_code",
    "tuned": "tuned",
    "lookalike-fashion": "tuned",
    "lookalike-blocks": "lookalike_blocks",
    "timm": "timm_model",
    "open-clip": "open_clip_model",
    "mean-colour": "mean_colour",
    "raw-pixels": "pixel_baselines",
    "colour-histogram": "pixel_baselines",
}


def register(family: str) -> Callable[[Factory], Factory]:
    """Register a factory `(variant, *, compute, option=default, …) -> Embedder` under a family.

    Options are passed as strings. The factory's keywords are the options that exist.
    """

    def add(factory: Factory) -> Factory:
        FACTORIES[family] = factory
        return factory

    return add


def short_name(spec: str) -> str:
    """Return a spec for people: of each digest in it, eight digits."""
    return _DIGEST.sub(lambda found: f"{found[0][:8]}…", spec)


def families() -> list[str]:
    """List the names that `load` knows."""
    return sorted({*_MODULES, *FACTORIES})


def _unknown_family(family: str) -> UnknownEmbedder:
    """Return the error, which names the families, and the nearest one."""
    known = families()
    nearest = get_close_matches(family.lower(), known, n=1)
    hint = f" The nearest is {nearest[0]}." if nearest else ""
    return UnknownEmbedder(f"no embedder {family!r}; there are: {', '.join(known)}.{hint}")


def load(
    spec: str,
    *,
    compute: Compute | None = None,
    read_statistics: Callable[[str], bytes | None] = lambda _: None,
) -> Embedder:
    """Load an embedder by its spec `family[/variant][?option=value&…]`.

    `read_statistics` returns the statistics of a shop by their digest, None if they are unknown.

    Raises UnknownEmbedder for an unknown family, variant or option, and WeightsUnavailable when its
    weights are not on disk and cannot be downloaded.
    """
    name, _, query = spec.partition("?")
    family, _, variant = name.partition("/")
    if family not in FACTORIES and family in _MODULES:
        import_module(f"{__name__}.{_MODULES[family]}")
    if family not in FACTORIES:
        raise _unknown_family(family)
    factory = FACTORIES[family]
    options = dict(parse_qsl(query, keep_blank_values=True))
    accepted = signature(factory).parameters.keys()
    known = accepted - {"variant", *GIVEN}
    if unknown := sorted(options.keys() - known):
        allowed = ", ".join(sorted(known)) or "none"
        raise UnknownEmbedder(f"{family} has no option {unknown[0]!r}; it has: {allowed}")
    given = {"compute": compute or Compute(), "read_statistics": read_statistics}
    return factory(variant, **{name: given[name] for name in GIVEN if name in accepted}, **options)
